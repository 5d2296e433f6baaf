"""Going back and forth in a run at random, and what must come of it: the same records."""

from __future__ import annotations

import random

import msgspec

from tui_elbo.engine.session import Session
from tui_elbo.model.records import StepRecord


def untimed(record: StepRecord) -> bytes:
    """The record's exact numbers, but for the time it took."""
    return msgspec.json.encode(msgspec.structs.replace(record, seconds=0.0))


def stepped(session: Session, steps: int) -> list[bytes]:
    """The records of so many more steps."""
    return [untimed(session.step()) for _ in range(steps)]


def wander(session: Session, steps: int, times: int, seed: int = 7) -> list[bytes]:
    """Take the steps, go back and on at random, twice to one place and to 0 among others.

    Returns:
        The records of the steps, which each later pass over them has met.
    """
    records = stepped(session, steps)
    chance = random.Random(seed)
    half = steps // 2
    for to in [half, half, 0, *(chance.randint(0, steps) for _ in range(times))]:
        session.go_to(min(to, session.steps_taken))
        on = min(chance.randint(1, half), steps - session.steps_taken)
        first = session.steps_taken
        assert stepped(session, on) == records[first : first + on]
    first = session.steps_taken
    assert stepped(session, steps - first) == records[first:]
    assert session.repeatable
    return records
