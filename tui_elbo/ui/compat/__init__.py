"""Private APIs of libraries, one module a library, and nowhere else."""
