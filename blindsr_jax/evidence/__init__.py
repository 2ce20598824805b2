"""The learned evidence over kernels: its training, its trained weights, and how well its probabilities hold.

The network is `networks.evidence`, what is made of it `inference.evidence`.
"""
