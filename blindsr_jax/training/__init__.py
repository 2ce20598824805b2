"""Training of networks on many images: pieces of images on the device, epochs as scans, a run that can be resumed.

`patches` and `engine` are maths; `driver` is the outside world around them and imports files, locks and checkpoints.
"""
