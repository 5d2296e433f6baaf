"""The terminal side: draws what the engine tells, and never imports torch, Pyro or the engine."""
