"""A run in a file."""
