"""Whoever comes later is told the branch that the run is on, wherever it has been."""

from __future__ import annotations

import numpy as np

from tests.ui.test_state import LAYOUT, loaded, rows
from tui_elbo import protocol
from tui_elbo.engine.server.run_log import Chronicle
from tui_elbo.protocol import NewLayout, Rewound, SteppedInto, Swapped, Tuned


def told(chronicle: Chronicle) -> tuple[list[float], list[str]]:
    """The losses and the changes of settings that a newcomer is told."""
    layouts, values, tunings = {}, [], []
    for event in chronicle.tell():
        assert not isinstance(event, SteppedInto)
        if isinstance(event, NewLayout):
            layouts[event.layout.id] = event.layout
        if isinstance(event, protocol.Rows):
            values += event.batch(layouts).values[0].tolist()
        if isinstance(event, Tuned):
            tunings.append(event.text)
    return values, tunings


def test_the_run_that_is_told_is_the_one_that_it_has_gone_over_to() -> None:
    chronicle = Chronicle()
    first, second = np.arange(9.0), np.arange(20.0, 23.0)
    for event in (loaded(), NewLayout(LAYOUT), rows(1, *[first] * 4), Rewound(4, 9)):
        chronicle.take(event)
    chronicle.take(Tuned(4, "lr 0.5", "", ""))
    chronicle.take(rows(5, *[second] * 4))
    branch = [*first[:4], *second]
    assert told(chronicle) == (branch, ["lr 0.5"])
    chronicle.take(SteppedInto(7, ()))
    chronicle.take(Swapped(9, 7))
    assert told(chronicle) == (first.tolist(), [])
    chronicle.take(rows(10, *[[1.0]] * 4))
    chronicle.take(Swapped(7, 10))
    assert told(chronicle) == (branch, ["lr 0.5"])
    chronicle.take(rows(8, *[[2.0]] * 4))
    assert told(chronicle) == ([*branch, 2.0], ["lr 0.5"])
