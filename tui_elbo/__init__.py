"""elbo-tui: a debugger for stochastic variational inference in Pyro, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui_elbo.engine.script.watch import Watched

__version__ = "0.1.0"
__all__ = ["watch", "watch_all"]


def watch(
    svi: Any,
    name: str | None = None,
    *,
    lens: bool | str = True,
    findings: bool = True,
    full_batch: Callable[[], tuple[Any, ...]] | None = None,
    rank: int = 0,
) -> Watched:
    """Make a script's own training loop a live run, to be shown by `elbo-tui attach`.

        svi = SVI(model, guide, optim, loss=Trace_ELBO())
        tui_elbo.watch(svi)
        for batch in batches:
            svi.step(batch)

    Not a bit of the training changes. The script is paused only while a terminal asks for it, and
    goes on when that terminal detaches. It cannot be rewound. Steps that are taken in a forked
    worker, or in a second thread at the same time, are not recorded.

    While a terminal is attached, a forked copy of the process now and then runs model and guide
    with draws of its own, to attribute the change of log p. It cannot change the script.

    All trainings of a process share one name and one thread. A terminal is shown the one that
    steps.

    Args:
        svi: a `pyro.infer.SVI`, whose `step` the script calls. It is held weakly: one that the
            script has dropped is watched no more.
        name: what to call the run; the script's own name if None.
        lens: whether a forked copy may run model and guide; `"in-process"` runs them in the script
            itself where no fork can be used, which can change what the model keeps in Python.
        findings: whether errors and warnings that are found are printed on stderr, each once, while
            no terminal is attached.
        full_batch: returns what `step` would be called with on all the data, for a script that
            steps on minibatches; it is called in the forked copy only. Without it, the data of 32
            steps are kept (of an epoch, if that has fewer; within 128 MiB) and stand for all.
        rank: which process is watched where a launcher, such as torchrun, has started several; in
            the others nothing is done.

    Returns:
        What has `close()`, and may be used as a context manager; else the run is watched until
        the process ends. Where no terminal could find the run, a warning says why, and the script
        goes on as if `watch` had not been called.

    Raises:
        UsageError: if `svi` is none, or is watched already.
    """
    from tui_elbo.engine.script import watch as watching  # noqa: PLC0415 - torch is imported by whoever has an SVI

    return watching.watch(svi, name, lens=lens, findings=findings, full_batch=full_batch, rank=rank)


def watch_all(*, rank: int = 0) -> Watched:
    """Watch every SVI of this process that takes a step from now on, as `watch` does one.

    It is for SVIs that are made inside a library, and for loops that evaluate an ELBO and update
    the parameters themselves; call it before the SVI or the ELBO is made. A terminal is shown the
    training that steps. SVIs, and the guides of such loops, are held weakly: what the script has
    dropped is watched no more.

    `elbo-tui watch train.py` does the same for a script as it is.

    Args:
        rank: as for `watch`.

    Returns:
        As `watch` does.
    """
    from tui_elbo.engine.script import watch as watching  # noqa: PLC0415 - as above

    return watching.watch_all(rank=rank)
