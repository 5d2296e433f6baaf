"""The lens: E_q[log p] and E_q[log q] at a parameter state, at the same fixed draws every time.

Two states seen through one lens differ by their parameters alone, and the standard error of a
difference is that of the paired differences. Nothing of the run is changed by looking.
"""

from tui_elbo.engine.lens.isolation import InitialParams, isolated, snapshot, with_params
from tui_elbo.engine.lens.lens import DRAWS, Lens, LensReading, Settled
from tui_elbo.engine.lens.subject import State

__all__ = [
    "DRAWS",
    "InitialParams",
    "Lens",
    "LensReading",
    "Settled",
    "State",
    "isolated",
    "snapshot",
    "with_params",
]
