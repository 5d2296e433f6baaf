"""What the terminal knows of a run, and the way to its engine; no widget in it."""
