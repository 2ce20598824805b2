"""Diffusion models: noise schedules, the steps of the two processes, released weights."""
