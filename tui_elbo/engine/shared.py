"""What all runs in one process share, put back to what it was before any scenario was executed.

A scenario may change torch's default dtype or Pyro's validation, and an interrupt may leave a
handler on Pyro's stack. A file that is executed afresh must find none of that.
"""

from __future__ import annotations

import pyro
import torch
from pyro.poutine import runtime

_DTYPE = torch.get_default_dtype()
_SETTINGS = pyro.settings.get()


def put_back() -> None:
    """Make torch's and Pyro's settings those of a fresh process."""
    torch.set_grad_enabled(True)
    torch.autograd.set_detect_anomaly(False)
    torch.use_deterministic_algorithms(False)
    torch.set_default_dtype(_DTYPE)
    pyro.settings.set(**_SETTINGS)
    pyro.clear_param_store()
    # Pyro has no public way to empty these; each handler takes itself off, if it gets to it.
    runtime._PYRO_STACK.clear()
    runtime._DIM_ALLOCATOR._stack.clear()
