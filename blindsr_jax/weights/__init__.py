"""Trained weights: archives read without trusting them, the shipped files, conversion of released PyTorch weights."""
