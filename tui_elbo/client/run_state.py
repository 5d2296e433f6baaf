"""What the terminal knows of a run: the fold of the events, and what a screen needs."""

from __future__ import annotations

import numpy as np

from tui_elbo.client.output import Output
from tui_elbo.model.bound import bound_lines
from tui_elbo.model.records import Batch, Column
from tui_elbo.protocol import (
    ErrorReported,
    Event,
    ImportanceBoundComputed,
    Loaded,
    Printed,
    RunFlagged,
    RunSaved,
    SteppedInto,
    StepsRecorded,
    WarningIssued,
)
from tui_elbo.protocol.run_state import RunState

_STEP = {field: Column("step", "", field) for field in ("loss", "elbo", "log_p", "log_q")}


WEIGHING = "computing importance weights"


class Run(RunState):
    """A run as far as the engine has reported it."""

    def __init__(self) -> None:
        super().__init__()
        self.dead = ""
        """How the engine ended, in words; empty while it lives."""
        self.loss_apart = False
        """Whether some step's loss was not −ELBO, beyond what float32 rounds away."""
        self.notice = ""
        """What the engine has to say to the person, until the next key."""
        self.stepped: SteppedInto | None = None
        """The step that was stepped into, until it has been shown."""
        self.output = Output()
        self.errors = 0
        """How many errors there have been."""
        self.last_error: ErrorReported | None = None
        """The newest of them, whether or not a step has gone well since."""

    def apply(self, event: Event) -> None:
        """Take in the next event, and what is to be shown of it.

        Raises:
            ProtocolError: if it does not fit what came before.
        """
        super().apply(event)
        match event:
            case StepsRecorded():
                self.loss_apart = self.loss_apart or self._is_apart(event)
            case Loaded():
                self.loss_apart = False
                self.errors, self.last_error = 0, None
            case ErrorReported():
                self.last_error = event
                self.errors += event.kind not in ("refused", "interrupted")
            case RunSaved():
                what = f"branch {event.branch} " if event.branch else ""
                self.notice = f"{what}saved at step {event.step}: {event.path}"
            case SteppedInto():
                self.stepped = event
            case ImportanceBoundComputed() if self.notice == WEIGHING:
                first, *more = bound_lines(event.bound)
                self.notice = first + ("; p: more" if more else "")
            case RunFlagged() if (
                event.kind in {"source", "by_evaluation", "minibatches"} and event.text
            ):
                self.notice = event.text
            case Printed():
                self.output.feed(event.data)
            case WarningIssued():
                self.output.warn(event.source, event.text)
            case _:
                pass

    @property
    def unsaved(self) -> int:
        """How many of its newest steps are in no file."""
        return max(0, self.step - self.saved)

    def lost(self, text: str) -> None:
        """The engine is gone; the history stays."""
        self.dead, self.phase, self.level = text, "", None

    def reconnected(self) -> None:
        """A fresh engine is starting; the history stays until it has loaded."""
        self.dead, self.fault, self.level, self.met = "", None, None, None
        self._layouts = {}
        self.output.warnings = 0

    def _is_apart(self, rows: StepsRecorded) -> bool:
        layout = self.history.layout_at(rows.first)
        return layout is not None and _apart(Batch(layout, rows.first, rows.values))


def _apart(rows: Batch) -> bool:
    """Whether `loss` is not −`elbo` at some step."""
    index = rows.layout.index
    if not all(column in index for column in _STEP.values()):
        return False
    part = {field: rows.values[index[column]] for field, column in _STEP.items()}
    with np.errstate(invalid="ignore", over="ignore"):
        # The loss is a float32 sum of terms as large as log p and log q, however small it is.
        scale = np.maximum(np.maximum(np.abs(part["log_p"]), np.abs(part["log_q"])), 1.0)
        return bool(np.any(np.abs(part["loss"] + part["elbo"]) > 1e-4 * scale))
