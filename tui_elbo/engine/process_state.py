"""What all runs in one process share, put back to what it was before any scenario was executed.

A scenario may change torch's default dtype or Pyro's validation, torch's threads or the working
folder, and an interrupt may leave a handler on Pyro's stack. A file that is executed afresh must
find none of that.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

import pyro
import torch

from tui_elbo.engine.compat.pyro import reset_handlers
from tui_elbo.model.errors import UsageError

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
    reset_handlers()


@dataclass(frozen=True)
class Environment:
    """What a run is given: the same at each execution of its file.

    Args:
        threads: torch's threads; the numbers of a run depend on them.
        device: torch's default device; None for torch's own.
        folder: the working folder.

    Raises:
        UsageError: if torch cannot put a tensor on the device.
    """

    threads: int
    device: str | None
    folder: str

    def __post_init__(self) -> None:
        if self.device is None:
            return
        try:
            torch.zeros(1, device=self.device).cpu()
        except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
            what = f"torch cannot use this device: {str(error).splitlines()[0]}"
            raise UsageError(what, where=self.device) from error

    def put_back(self) -> None:
        """Make it so again."""
        torch.set_num_threads(self.threads)
        torch.set_default_device(self.device)
        with suppress(OSError):
            os.chdir(self.folder)


def here(threads: int, device: str | None) -> Environment:
    """The environment of a run in the present working folder."""
    try:
        folder = os.getcwd()
    except OSError:
        folder = os.sep
    return Environment(threads, device, folder)


def warm_up() -> None:
    """Import what torch imports at the first optimiser: most of a second, better spent early."""
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
