"""Scripts with loops of their own, and who looks at them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO

from tests.engine.client import ClosedError, Speaker, visitor
from tui_elbo.protocol import Attach, Loaded, RunStatus, runtime_dir


def simple() -> SVI:
    """One latent, one observed site, one parameter."""

    def model() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

    def guide() -> None:
        loc = pyro.param("loc", torch.tensor(-3.0))
        pyro.sample("z", dist.Normal(loc, 0.7))

    return SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())


def decaying() -> SVI:
    """An SVI whose rate is gone after a few steps, far from where it would go."""

    def model() -> None:
        z = pyro.sample("z", dist.Normal(0.0, 100.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(100.0))

    def guide() -> None:
        pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.7))

    return SVI(model, guide, pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.6}), Trace_ELBO())


@contextmanager
def attached(id: str) -> Iterator[Speaker]:
    """A terminal that has been told everything so far."""
    with visitor(runtime_dir.path_of(id)) as terminal:
        terminal.send(Attach())
        terminal.until(Loaded)
        terminal.until(RunStatus)
        yield terminal


def fresh() -> None:
    """Another script, as it would begin."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def rest(terminal: Speaker) -> None:
    """Listen to the end."""
    with suppress(ClosedError, ConnectionError):
        while True:
            terminal.next()


class Script:
    """A loop in a thread of its own, as a script's is: it steps until it is told to end."""

    def __init__(self, svi: SVI) -> None:
        self.losses: list[float] = []
        self._svi, self._over = svi, threading.Event()
        self._thread = threading.Thread(target=self._loop)

    def _loop(self) -> None:
        while not self._over.is_set():
            self.losses.append(self._svi.step())

    def __enter__(self) -> Script:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
