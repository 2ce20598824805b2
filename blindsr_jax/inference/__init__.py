"""Samplers and Langevin updates: how a kernel is inferred, whatever represents it."""
