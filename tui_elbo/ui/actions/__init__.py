"""What keys do, what is asked for in a line, and what is sent to the engine."""
