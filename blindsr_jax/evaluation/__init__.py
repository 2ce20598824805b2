"""Scores of results against the truth, and tables of them."""
