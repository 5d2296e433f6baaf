"""All that a run has told, so that whoever comes later is told the whole of it at once."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tui_elbo.model.branch import Branch, after_rewind
from tui_elbo.model.history import History
from tui_elbo.model.lens_history import LensHistory
from tui_elbo.model.records import Floats, Layout
from tui_elbo.protocol import (
    Drawn,
    Event,
    Fault,
    Hello,
    Inspected,
    Level,
    Loaded,
    Looked,
    Met,
    Named,
    NewLayout,
    Phase,
    Printed,
    Pulled,
    Remark,
    Rewound,
    Rows,
    SteppedInto,
    Stored,
    Surveyed,
    Swapped,
    TakenOver,
    Tuned,
    Weighed,
    Wished,
)

CHUNK = 2**20
"""Bytes of numbers in one message."""

TAIL = 2**18
"""Bytes of what was printed, and of warnings, that are kept."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """The numbers of consecutive steps of one layout, where they are stored."""

    layout: Layout
    first: int
    columns: list[Floats]

    @property
    def steps(self) -> int:
        """How many steps it holds."""
        return len(self.columns[0]) if self.columns else 0


class Chronicle:
    """Takes in every event, and gives back what a newcomer needs to know.

    The newcomer may be told slowly, while the run goes on: what is taken in meanwhile is told
    after it, and makes good whatever it has changed.
    """

    def __init__(self) -> None:
        self.level = Level("loading", 0, None, 0.0, 0)
        self._since = time.time()
        self.loaded: Loaded | None = None
        self._named: Named | None = None
        self._wished: Wished | None = None
        self._phase: Phase | None = None
        self._output: deque[tuple[Event, int]] = deque()
        self._kept_output = 0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._history = History()
        self._layouts: dict[int, Layout] = {}
        self._tunings: list[Tuned] = []
        self._lens_history = LensHistory()
        self._ghost: Branch | None = None
        self._others: dict[object, Event] = {}
        self._met: Met | None = None
        self._fault: Fault | None = None

    def take(self, event: Event) -> None:
        """Take in the next event."""
        match event:
            case Rows():
                self._history.append(event.batch(self._layouts))
                self._met = self._fault = None
            case NewLayout():
                self._layouts[event.layout.id] = event.layout
            case Loaded():
                self.loaded = event
                self._begin_anew()
            case Looked():
                self._lens_history.add(event.point)
            case Rewound():
                self._rewound(event)
            case Swapped():
                self._swapped()
            case Tuned():
                self._tunings.append(event)
                self._fault = None
            case Printed() | Remark():
                self._print(event)
            case (
                Hello()
                | Inspected()
                | Drawn()
                | Surveyed()
                | TakenOver()
                | SteppedInto()
                | Stored()
            ):
                pass  # An answer, to whoever has asked.
            case _:
                self._stand(event)

    def _stand(self, event: Event) -> None:
        """How things stand: the newest word of a kind replaces the one before."""
        match event:
            case Level():
                self.level = event
                if event.state != "loading":
                    self._phase = None
            case Phase():
                self._phase = event
            case Met():
                self._met = event
            case Fault():
                self._fault, self._phase = event, None
            case Named():
                self._named = event
            case Wished():
                self._wished = event
            case _:
                self._others[getattr(event, "kind", type(event))] = event

    def history(self) -> History:
        """Every step of the run, copied; for who sends the steps, in whose thread they come."""
        return self._history.copy()

    def tell(self) -> Iterator[Event]:
        """All of it, up to now; what is not small is made as it is asked for."""
        output = [event for event, _ in self._output]
        first = [self.loaded, self._named, *self._tunings, *output]
        numbers = [self._view(*stretch) for stretch in self._history.stretches()]
        looked = map(Looked, list(self._lens_history))
        others = [self._wished, *self._others.values()]
        last = [*others, self._met, self._fault, self._phase, self.level]
        return chain(_present(first), _numbers(numbers), looked, _present(last))

    def surveyed(self, id: str, *, attached: bool) -> Surveyed:
        """How the run of this name stands, in a few words."""
        level, loaded = self.level, self.loaded
        return Surveyed(
            id=id,
            scenario=loaded.name if loaded else "",
            path=loaded.path if loaded else "",
            step=level.step,
            state=level.state,
            target=level.target,
            since=self._since,
            pid=os.getpid(),
            attached=attached,
            watched=loaded is not None and loaded.watched,
        )

    def _view(self, first: int, last: int, layout: Layout) -> Stretch:
        """The numbers of a stretch, where they are stored."""
        values = [self._history.values(column)[first - 1 : last] for column in layout.columns]
        return Stretch(layout, first, values)

    def _rewound(self, event: Rewound) -> None:
        step, present = event.step, Branch(self._history, self._tunings, ("", ""), event.step)
        self._ghost = after_rewind(self._ghost, present, event)
        self._history.forget_after(step)
        self._tunings = [tuned for tuned in self._tunings if tuned.step <= step]
        self._follows(step)

    def _swapped(self) -> None:
        ghost = self._ghost
        if ghost is not None:
            self._ghost = Branch(self._history, self._tunings, ("", ""), ghost.branch)
            self._history, self._tunings = ghost.history, list(ghost.tunings)
            self._follows(ghost.branch)

    def _follows(self, step: int) -> None:
        """What was told beside the steps holds up to this one."""
        self._lens_history.forget_after(step)
        for kind in (Pulled, Weighed):
            self._others.pop(kind, None)
        self._met = self._fault = None

    def _print(self, event: Printed | Remark) -> None:
        size = len(event.data) if isinstance(event, Printed) else len(event.text)
        self._output.append((event, size))
        self._kept_output += size
        while self._kept_output > TAIL:
            self._kept_output -= self._output.popleft()[1]


def _present(events: Iterable[Event | None]) -> Iterator[Event]:
    return (event for event in events if event is not None)


def _numbers(stretches: Iterable[Stretch]) -> Iterator[Event]:
    """The numbers, in messages of a bounded size, each layout before its first."""
    described: set[int] = set()
    for stretch in stretches:
        layout = stretch.layout
        if layout.id not in described:
            described.add(layout.id)
            yield NewLayout(layout)
        count = max(1, CHUNK // (8 * max(1, len(layout.columns))))
        for start in range(0, stretch.steps, count):
            part = [column[start : start + count] for column in stretch.columns]
            yield Rows(layout.id, stretch.first + start, np.array(part))
