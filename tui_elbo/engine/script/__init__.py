"""A training script's own loop as a live run: watched, held and let go on, never changed."""
