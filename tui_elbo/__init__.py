"""elbo-tui: a debugger for stochastic variational inference in Pyro, in the terminal."""

__version__ = "0.1.0"
