"""Running a solver on one problem or on a stack of them, and the memory that it takes."""
