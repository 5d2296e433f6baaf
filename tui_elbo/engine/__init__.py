"""The engine: owns torch and Pyro, steps the optimiser, and watches without touching."""
