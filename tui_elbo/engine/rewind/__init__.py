"""What a run keeps of its past, and how any of its steps is found again."""
