"""Saved runs, each seen at its last step in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui_elbo.many.executors import local
from tui_elbo.model.comparison import Evaluation, unevaluated
from tui_elbo.model.errors import ElboError
from tui_elbo.protocol.codec import decode, encode


def evaluate_files(paths: Sequence[Path], draws: int, jobs: int | None = None) -> list[Evaluation]:
    """Each of these saved runs, seen with the same draws.

    Args:
        paths: of the files.
        draws: of the lens.
        jobs: how many at once; None: as many as there are cores.
    """
    workers = local(jobs)
    pool = workers.make()
    try:
        futures = [pool.submit(_evaluate, str(path), draws) for path in paths]
        return [_answer(future.result()) for future in futures]
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


def _answer(data: bytes) -> Evaluation:
    found: Evaluation = decode(data, Evaluation)
    return found
