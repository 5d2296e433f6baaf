"""What keys do, what is asked for in a line, and what is told to the engine."""
