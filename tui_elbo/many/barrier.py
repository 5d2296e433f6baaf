"""Whether the ELBO falls on the way from one saved run to another: they are then in two modes."""

from __future__ import annotations

from pathlib import Path

from tui_elbo.many.executors import local
from tui_elbo.model.comparison import falls_between
from tui_elbo.model.errors import ElboError

POINTS = (0.25, 0.5, 0.75)
"""Of the straight line between their unconstrained parameters."""


def barrier_between(one: str, other: str, draws: int = 256) -> bool | None:
    """Whether there is one; None where that is not known.

    Args:
        one: the file of a run.
        other: that of a run with the same parameters.
        draws: of the lens.
    """
    if not (one and other and Path(one).is_file() and Path(other).is_file()):
        return None
    workers = local(1)
    pool = workers.make()
    try:
        return pool.submit(falls_on_the_way, one, other, draws).result()
    except Exception:
        return None
    finally:
        workers.end(pool)


def falls_on_the_way(one: str, other: str, draws: int) -> bool | None:
    """The same, in this process."""
    from tui_elbo.engine.lens import Lens  # noqa: PLC0415 - these import torch
    from tui_elbo.engine.scenario import release  # noqa: PLC0415
    from tui_elbo.engine.session import Session  # noqa: PLC0415

    states = []
    for path in (one, other):
        release()
        try:
            session = Session(path)
        except ElboError:
            return None
        states.append(session.present_state())
    first, last = states
    if {n: v.shape for n, v in first.items()} != {n: v.shape for n, v in last.items()}:
        return None
    lens = Lens(session.scenario, draws)
    lens.see()  # The first look settles how the lens draws.
    ways = (
        {name: value.lerp(last[name], share) for name, value in first.items()}
        for share in (0.0, 1.0, *POINTS)
    )
    return falls_between([lens.see(way).reading.units[2] for way in ways])
