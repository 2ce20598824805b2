"""Runs over a folder of images that survive interruption: records, states, locks, signals, processes, the page."""
