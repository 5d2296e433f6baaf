"""What the terminal knows of a run: applied from the engine's events, read by everything drawn.

Only `Run.apply` appends to a history.
"""

from __future__ import annotations

import numpy as np

from tui_elbo.client.output import Output
from tui_elbo.model.branch import Branch, after_rewind
from tui_elbo.model.errors import ProtocolError
from tui_elbo.model.history import History
from tui_elbo.model.lens_history import LensHistory
from tui_elbo.model.records import Batch, Column, Layout
from tui_elbo.protocol import (
    AnyEvent,
    Caution,
    Fault,
    Inspected,
    Level,
    Loaded,
    Looked,
    Met,
    NewLayout,
    Phase,
    Printed,
    Pulled,
    Remark,
    Rewound,
    Rows,
    SteppedInto,
    Stored,
    Swapped,
    Tuned,
    Weighed,
)

_STEP = {field: Column("step", "", field) for field in ("loss", "elbo", "log_p", "log_q")}

_KEPT = {Met: "met", Inspected: "inspected", Weighed: "weighed", Pulled: "pulled"}
"""Events of which the newest is all that counts."""


class Run:
    """A run as far as the engine has told of it."""

    def __init__(self) -> None:
        self.history = History()
        self.loaded: Loaded | None = None
        """The scenario that the history is of."""
        self.level: Level | None = None
        self.phase = ""
        """What keeps the engine from stepping, in words; empty when nothing does."""
        self.fault: Fault | None = None
        """What went wrong last, until a step or a new start goes well."""
        self.dead = ""
        """How the engine ended, in words; empty while it lives."""
        self.loss_apart = False
        """Whether some step's loss was not −ELBO, beyond what float32 rounds away."""
        self.tunings: list[Tuned] = []
        """The changes of settings, from the first on."""
        self.cautions: dict[str, Caution] = {}
        """What holds of the run from now on, by kind; the newest last."""
        self.word = ""
        """What the engine has to say to the person, until the next key."""
        self.stepped: SteppedInto | None = None
        """The step that was stepped into, until it has been shown."""
        self.ghost: Branch | None = None
        """The future that was left behind last."""
        self.met: Met | None = None
        """Why the run has stopped by itself, until it goes on."""
        self.inspected: Inspected | None = None
        """The newest word about the parameter that is looked at closely."""
        self.lens_history = LensHistory()
        """What the lens has seen."""
        self.weighed: Weighed | None = None
        """The newest word about importance weights."""
        self.pulled: Pulled | None = None
        """The newest word about what pulls at the parameters."""
        self.output = Output()
        self._layouts: dict[int, Layout] = {}

    @property
    def step(self) -> int:
        """The newest step that the history holds."""
        return self.history.last

    @property
    def settings(self) -> tuple[str, str]:
        """The estimator and the optimiser of the next step, in words; empty before loading."""
        newest = self.tunings[-1] if self.tunings else self.loaded
        return (newest.estimator, newest.optimizer) if newest else ("", "")

    def apply(self, event: AnyEvent) -> None:
        """Take in what the engine told.

        Raises:
            ProtocolError: if it does not fit what was told before.
        """
        match event:
            case Rows():
                self._rows(event.batch(self._layouts))
            case NewLayout():
                self._layouts[event.layout.id] = event.layout
            case Looked():
                self.lens_history.add(event.point)
            case Level():
                self._level(event)
            case Loaded():
                self._loaded(event)
            case Rewound():
                self._rewound(event)
            case Swapped():
                self._swapped(event)
            case Tuned():
                self.tunings.append(event)
                self.fault = None
            case _:
                self._said(event)

    def _said(self, event: AnyEvent) -> None:
        """What the engine says about the run."""
        match event:
            case Met() | Inspected() | Weighed() | Pulled():
                setattr(self, _KEPT[type(event)], event)
            case Stored():
                self.word = f"saved at step {event.step}: {event.path}"
            case SteppedInto():
                self.stepped = event
            case Caution():
                self.cautions[event.kind] = event
                if event.kind == "source":
                    self.word = event.text
            case Phase():
                self.phase = event.text
            case Fault():
                self.fault, self.phase = event, ""
            case Printed() | Remark():
                self._print(event)

    def lost(self, text: str) -> None:
        """The engine is gone; the history stays."""
        self.dead, self.phase, self.level = text, "", None

    def reconnected(self) -> None:
        """A fresh engine is starting; the history stays until it has loaded."""
        self.dead, self.fault, self.level, self.met = "", None, None, None
        self._layouts = {}

    def _print(self, event: Printed | Remark) -> None:
        if isinstance(event, Printed):
            self.output.feed(event.data)
        else:
            self.output.warn(event.source, event.text)

    def _rows(self, rows: Batch) -> None:
        try:
            self.history.append(rows)
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        self.fault = self.met = None
        if not self.loss_apart:
            self.loss_apart = _apart(rows)

    def _rewound(self, event: Rewound) -> None:
        self.ghost = after_rewind(self.ghost, self._present(event.step), event)
        self._stands_at(event.step)

    def _present(self, branch: int) -> Branch:
        """The run as it is, as a future to be left behind."""
        return Branch(self.history, list(self.tunings), self.settings, branch)

    def _swapped(self, event: Swapped) -> None:
        ghost = self.ghost
        if ghost is None or ghost.history.last != event.step:
            raise ProtocolError(f"a future that ends at step {event.step}, which nobody has seen")
        self.ghost = self._present(ghost.branch) if event.kept else None
        self.history, self.tunings = ghost.history, list(ghost.tunings)
        self._follows(ghost.branch)

    def _stands_at(self, step: int) -> None:
        """What is known of later steps does not hold any more."""
        self.history.forget_after(step)
        self.tunings = [tuned for tuned in self.tunings if tuned.step <= step]
        self._follows(step)

    def _follows(self, step: int) -> None:
        """What was seen beside the steps holds up to this one."""
        self.lens_history.forget_after(step)
        self.fault = self.met = self.weighed = self.pulled = None

    def _level(self, level: Level) -> None:
        self.level = level
        if level.state != "loading":
            self.phase = ""

    def _loaded(self, loaded: Loaded) -> None:
        self.history, self.lens_history = History(), LensHistory()
        self.weighed = self.pulled = None
        self.loaded, self.fault, self.phase, self.loss_apart = loaded, None, "", False
        self.cautions, self.ghost = {}, None
        self.tunings, self.met, self.inspected = [], None, None


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
