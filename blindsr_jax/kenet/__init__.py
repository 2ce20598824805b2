"""The supervised kernel estimator KENet: its data, made on the device, its losses, and its trained weights.

The network itself is `networks.kenet`, the estimator that composes with restorers `estimators.kenet`.
"""
