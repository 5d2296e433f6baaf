"""Where the seconds of a step go, measured at single steps while somebody is there to see it.

On any other step a flag is asked, and nothing else is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from pyro.poutine import Trace
from pyro.poutine.messenger import Messenger

from tui_elbo.engine.process_memory import memory_held, memory_peak
from tui_elbo.protocol import StepTimed, TimingPart

SEND_SECONDS = 1.0
"""What has been measured is sent after so many seconds, at the earliest."""

BETWEEN, GUIDE, MODEL, SCORES, TRACES = (
    "between steps",
    "guide",
    "model",
    "log probabilities",
    "model and guide",
)
GRADIENT, LOSS, OPTIMISER, OTHER, READING = "gradient", "loss", "optimiser", "other", "elbo-tui"
BATCH = "batch"

ABOUT = {
    BETWEEN: "data, and what else the loop does",
    SCORES: "of the sites of both traces",
    TRACES: "the guide runs the model itself",
    GRADIENT: "the loss, and backward()",
    LOSS: "model, guide, backward(): no traces are seen",
    OTHER: "the rest of the step",
    READING: "reading the step",
}
"""More words about a part."""

ORDER = (BETWEEN, BATCH, GUIDE, MODEL, TRACES, SCORES, GRADIENT, LOSS, OPTIMISER, OTHER, READING)

Build = Callable[..., tuple[Trace, Trace]]
"""What makes the traces of a model and a guide."""


class StepTimer:
    """Times single steps, part by part."""

    def __init__(self) -> None:
        self.on = False
        """Whether the step that is under way, or the next one, is timed."""
        self._sent = -SEND_SECONDS
        self._sums: dict[str, float] = {}
        self._count = 0
        self._parts: dict[str, float] = {}
        self._mark = 0.0
        self._built = False

    def arm(self) -> None:
        """Time the next step."""
        self.on = True

    def cancel(self) -> None:
        """Drop this step: its parts run into each other."""
        self.on = False
        self._parts = {}

    def begin(self, between: float | None = None) -> None:
        """A step begins.

        Args:
            between: seconds since the step before; None if they are not known.
        """
        self._parts, self._built = {}, False
        if between is not None:
            self._parts[BETWEEN] = between
        self.mark()

    def mark(self) -> None:
        """What is done from now on belongs to the next lap."""
        self._mark = time.perf_counter()

    def lap(self, part: str) -> None:
        """What has been done since the last mark was this."""
        now = time.perf_counter()
        self._add(part, now - self._mark)
        self._mark = now

    def traces(self, build: Build, model: Any, guide: Any, *args: Any) -> tuple[Trace, Trace]:
        """Make the traces of an estimator, as it does by itself; times model and guide."""
        # With several particles, the gradient of the one before.
        self.lap(GRADIENT if self._built else OTHER)
        self._built, parts = True, self._parts
        if isinstance(guide, Messenger) or isinstance(model, Messenger):
            found = build(model, guide, *args)  # The estimator knows them by their class.
            self.lap(TRACES)
            return found
        before = parts.get(MODEL, 0.0) + parts.get(GUIDE, 0.0)
        found = build(self._timed(MODEL, model), self._timed(GUIDE, guide), *args)
        self.lap(SCORES)
        parts[SCORES] -= parts.get(MODEL, 0.0) + parts.get(GUIDE, 0.0) - before
        return found

    def _timed(self, part: str, called: Any) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return called(*args, **kwargs)
            finally:
                self._add(part, time.perf_counter() - began)

        return run

    def gradient(self) -> None:
        """The loss, and perhaps its gradient, is there."""
        self.lap(GRADIENT if self._built else LOSS)

    def finish(self) -> None:
        """The step has been taken and read."""
        self.on = False
        for part, seconds in self._parts.items():
            self._sums[part] = self._sums.get(part, 0.0) + seconds
        self._count += 1

    def _add(self, part: str, seconds: float) -> None:
        self._parts[part] = self._parts.get(part, 0.0) + seconds

    def report(self, step: int) -> StepTimed | None:
        """What has been measured since the last report, if that is due.

        Args:
            step: the newest step.
        """
        now = time.perf_counter()
        if not self._count or now - self._sent < SEND_SECONDS:
            return None
        parts = tuple(
            TimingPart(part, self._sums[part] / self._count, ABOUT.get(part, ""))
            for part in ORDER
            if part in self._sums
        )
        count, self._sums, self._count, self._sent = self._count, {}, 0, now
        return StepTimed(step, count, parts, memory_held(), memory_peak(), _on_cuda())


def _on_cuda() -> int:
    """Bytes that tensors hold on the present CUDA device; 0 where none is in use."""
    known = bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
    return torch.cuda.memory_allocated() if known else 0
