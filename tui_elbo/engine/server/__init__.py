"""The engine's process: commands, events, and terminals that come and go."""
