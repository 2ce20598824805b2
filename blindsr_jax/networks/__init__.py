"""Flax modules and the convolution under them."""
