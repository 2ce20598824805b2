"""What a program costs: operations from layer shapes, and timings of programs run in turn."""
