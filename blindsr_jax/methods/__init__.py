"""Methods: everything that a config can name, and how it is put together into a `Solver`."""
