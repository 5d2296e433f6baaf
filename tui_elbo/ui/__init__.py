"""The terminal side: draws what the engine reports, and never imports torch, Pyro or the engine."""
