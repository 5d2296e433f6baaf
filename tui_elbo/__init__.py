"""elbo-tui: a debugger for stochastic variational inference in Pyro, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui_elbo.engine.script.watch import Watched

__version__ = "0.1.0"
__all__ = ["watch"]


def watch(svi: Any, name: str | None = None, *, lens: bool | str = True) -> Watched:
    """Make a script's own training loop a live run, to be shown by `elbo-tui attach`.

        svi = SVI(model, guide, optim, loss=Trace_ELBO())
        tui_elbo.watch(svi)
        for batch in batches:
            svi.step(batch)

    Not a bit of the training changes. The script is held only while a person at a terminal wants
    it; it goes on when that person leaves. It cannot be taken back. Steps that are taken in a
    forked worker, or in a second thread at the same time, are not seen.

    While a terminal shows it, model and guide are run on the side now and then, with draws of their
    own, to tell what moved log p. The random state, the parameters, and the buffers and modes of
    modules are put back after it; what a model keeps in Python variables is not, and one that keeps
    something there which matters should be watched without the lens.

    Args:
        svi: a `pyro.infer.SVI`, whose `step` the script calls.
        name: what to call the run; the script's own name if None.
        lens: whether model and guide may be run on the side.

    Returns:
        What has `close()`, and may be used as a context manager; else the run is watched until
        the process ends. Where no terminal could find the run, a warning says why, and the script
        goes on as if `watch` had not been called.

    Raises:
        UsageError: if `svi` is none, or is watched already.
    """
    from tui_elbo.engine.script import watch as watching  # noqa: PLC0415 - torch is imported by whoever has an SVI

    return watching.watch(svi, name, lens=lens)
