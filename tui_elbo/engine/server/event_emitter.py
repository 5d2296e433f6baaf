"""What the engine tells whoever is at the other end: rows, warnings, loaded scenarios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TextIO

from tui_elbo.engine.describe import estimator, optimizer, plain
from tui_elbo.engine.record.estimators import estimators
from tui_elbo.engine.session import Session
from tui_elbo.engine.tuning import optimizers
from tui_elbo.model.records import Batch, Layout
from tui_elbo.protocol import (
    Capabilities,
    Event,
    LayoutAdded,
    Loaded,
    StepsRecorded,
    Tuned,
    WarningIssued,
)

NO_LENS = "there is no lens: the run was started with --draws 0"

MAX_REMARKS = 500
"""A model that warns in other words at each step is cut short."""

MAX_TEXT = 10_000
"""Characters of a message that are sent."""


class EventEmitter:
    """Puts what happens into events.

    Args:
        send: takes the events, in order.
    """

    def __init__(self, send: Callable[[Event], None]) -> None:
        self.send = send
        self.layout: Layout | None = None
        """That of the newest step sent."""
        self.step = 0
        """The newest step sent."""
        self._layouts: set[int] = set()
        self._remarks = 0

    def opening(self) -> None:
        """Another scenario is about to be loaded."""
        self._remarks = 0

    def loaded(self, session: Session, *, lens: bool) -> None:
        """A scenario stands at step 0; says whether there is a lens."""
        self._layouts.clear()
        scenario = session.scenario
        self.send(
            Loaded(
                name=scenario.source.name,
                path=str(scenario.source.path),
                title=scenario.title,
                notes=scenario.notes,
                seed=session.seed,
                steps=scenario.steps,
                estimator=estimator(scenario.loss),
                optimizer=optimizer(scenario.optimizer),
                reference=plain(scenario.reference),
                estimators=tuple(estimators()),
                optimizers=tuple(optimizers()),
                capabilities=Capabilities(lens="" if lens else NO_LENS),
            )
        )
        if session.steps_taken:
            self._resumed(session)

    def _resumed(self, session: Session) -> None:
        """It goes on from the steps of a saved run."""
        self.rows(session.restored)
        for step, tuning in session.tunings:
            self.send(Tuned(step, str(tuning), *session.settings))

    def rows(self, batches: Sequence[Batch]) -> None:
        """Steps have been taken."""
        for batch in batches:
            if batch.layout.id not in self._layouts:
                self._layouts.add(batch.layout.id)
                self.send(LayoutAdded(batch.layout))
            self.send(StepsRecorded.of(batch))
            self.layout = batch.layout
            self.step = batch.first + batch.steps - 1

    def inspected(self, session: Session | None) -> None:
        """The parameter that is looked at closely, if there is one."""
        inspected = None if session is None else session.inspected()
        if inspected is not None:
            self.send(inspected)

    def remark(self, text: str, source: str) -> None:
        """Something the person should know and no error says."""
        self._remarks += 1
        if self._remarks < MAX_REMARKS:
            self.send(WarningIssued(text[:MAX_TEXT], source))
        elif self._remarks == MAX_REMARKS:
            self.send(WarningIssued("further warnings are left out", "elbo-tui"))

    def warned(  # noqa: PLR0917 - the signature is that of `warnings.showwarning`
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG002
        line: str | None = None,  # noqa: ARG002
    ) -> None:
        """A warning; takes the place of `warnings.showwarning`."""
        self.remark(f"{message} ({filename}:{lineno})", category.__name__)
