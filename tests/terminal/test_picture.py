"""The README's picture is the real screen, and its numbers are the engine's."""

from __future__ import annotations

import numpy as np
import pytest

from tui_elbo.protocol import AnyEvent, Decoder, StepsRecorded

from .picture import PICTURE, RECORDING, drawn, recorded


async def test_the_picture_is_what_the_screen_draws() -> None:
    assert await drawn() == PICTURE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_recording_is_what_the_engine_reports() -> None:
    """Up to the rounding that another processor may do; the time that a step took apart."""
    then = Decoder[AnyEvent](AnyEvent).feed(RECORDING.read_bytes())
    found, wanted = _numbers(list(then)), _numbers(recorded())
    assert found.shape == wanted.shape
    timed = 1
    np.testing.assert_allclose(np.delete(found, timed, 0), np.delete(wanted, timed, 0), rtol=1e-3)


def _numbers(events: list) -> np.ndarray:
    rows = [event for event in events if isinstance(event, StepsRecorded)]
    assert len({event.layout for event in rows}) == 1
    return np.hstack([event.values for event in rows])
