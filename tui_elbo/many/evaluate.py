"""Saved runs, each seen at its last step in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tui_elbo.many.executors import local
from tui_elbo.model.comparison import Evaluation, unevaluated
from tui_elbo.model.errors import ElboError
from tui_elbo.protocol import PosteriorDrawn
from tui_elbo.protocol.codec import decode, encode


def evaluate_files(paths: Sequence[Path], draws: int, jobs: int | None = None) -> list[Evaluation]:
    """Each of these saved runs, seen with the same draws.

    Args:
        paths: of the files.
        draws: of the lens.
        jobs: how many at once; None: as many as there are cores.
    """
    return [decode(data, Evaluation) for data in _of_each(_evaluate, paths, draws, jobs)]


def draw_files(paths: Sequence[Path], draws: int, jobs: int | None = None) -> list[PosteriorDrawn]:
    """Draws from the guide of each of these saved runs, at its last step; arguments as above."""
    return [decode(data, PosteriorDrawn) for data in _of_each(_draw, paths, draws, jobs)]


def _of_each(
    work: Callable[[str, int], bytes], paths: Sequence[Path], draws: int, jobs: int | None
) -> list[bytes]:
    workers = local(jobs)
    pool = workers.make()
    try:
        futures = [pool.submit(work, str(path), draws) for path in paths]
        return [future.result() for future in futures]
    finally:
        workers.end(pool)


def _evaluate(path: str, draws: int) -> bytes:
    from tui_elbo.engine.evaluation import evaluate  # noqa: PLC0415 - these import torch
    from tui_elbo.engine.scenario import release  # noqa: PLC0415
    from tui_elbo.engine.session import Session  # noqa: PLC0415

    release()
    try:
        session = Session(path)
        layout = session.restored[-1].layout if session.restored else None
        return encode(evaluate(session, layout, draws))
    except ElboError as error:
        return encode(unevaluated(f"it cannot be opened: {error.what}"))


def _draw(path: str, draws: int) -> bytes:
    from tui_elbo.engine.lens.posterior_draws import draw_posterior  # noqa: PLC0415 - torch
    from tui_elbo.engine.scenario import release  # noqa: PLC0415
    from tui_elbo.engine.session import Session  # noqa: PLC0415

    release()
    try:
        return encode(draw_posterior(Session(path), draws))
    except ElboError as error:
        return encode(PosteriorDrawn(0, 0, (), f"it cannot be opened: {error.what}"))
