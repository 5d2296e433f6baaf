"""A run: a scenario executed, stepped, tuned, and what it is stopped for."""
