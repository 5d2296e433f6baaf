"""The rules on a run that no screen shows: before its first step, while it runs, where it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui_elbo.engine.checks.checker import Checker
from tui_elbo.engine.checks.monitor import Monitor
from tui_elbo.engine.checks.origin import origin_of
from tui_elbo.engine.checks.running import failure_of
from tui_elbo.engine.lens.attribution import PATIENCE, Attribution
from tui_elbo.engine.lens.fork import LookError
from tui_elbo.engine.session import Session
from tui_elbo.model.errors import StepError
from tui_elbo.model.findings import Finding
from tui_elbo.protocol import Event


class RunChecks:
    """Tries the rules on one run.

    Args:
        session: what is run.
        steps: how many there are to be.
        draws: of the lens; None: as many as it takes by itself.
        in_process: whether the lens looks in this process and not in a copy.
        send: takes what changes, from any thread.
        known: what was found before the first step, of a session that begins later.
    """

    def __init__(
        self,
        session: Session,
        steps: int,
        *,
        draws: int | None = None,
        in_process: bool = False,
        send: Callable[[Event], None] = lambda _: None,
        known: Sequence[Finding] = (),
    ) -> None:
        self._session, self._draws, self._in_process = session, draws, in_process
        self._checker = Checker(send)
        self._monitor = Monitor(self._checker)
        if session.steps_taken:
            self._checker.begin(ignore=session.scenario.ignore, known=known)
        else:
            self._checker.follow(session.scenario, ignore=session.scenario.ignore)
        self._monitor.follow(
            lambda: session.optimizer,
            steps,
            step=session.steps_taken,
            origin_of=lambda step: origin_of(session, step),
        )
        session.observe(self._monitor.observe)

    @property
    def before_steps(self) -> tuple[Finding, ...]:
        """What was found before the first step, once that is known."""
        self._checker.wait()
        return self._checker.static_findings

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that stand, the gravest first."""
        return self._checker.findings

    @property
    def standing(self) -> tuple[Finding, ...]:
        """The errors and warnings among them."""
        return tuple(one for one in self.findings if one.level != "note")

    def stepped(self) -> None:
        """Steps have been taken."""
        self._monitor.stepped()

    def travelled(self) -> None:
        """The run stands elsewhere."""
        self._monitor.rewound(self._session.steps_taken)
        self._checker.rewound(self._session.steps_taken)

    def failed(self, error: StepError) -> None:
        """A step raised."""
        self._checker.wait()
        self._monitor.failed(failure_of(error, self._session.steps_taken + 1))

    def end(self, attribution: Attribution | None = None) -> None:
        """The run stands where it ends: see what is found there, in a forked copy if need be.

        Args:
            attribution: follows the run; None: its lens is made anew.
        """
        self._checker.wait()
        self._monitor.judge()
        if self._session.non_finite is not None or not self._monitor.due():
            return
        own = None
        if attribution is None:
            own = attribution = Attribution(self._session, self._draws, in_process=self._in_process)
        try:
            lens, roles = attribution.lens(), attribution.roles
            examine = self._monitor.examination()
            call = attribution.call(lambda progress: examine(lens, roles, progress))
            self._monitor.examined(call.wait(PATIENCE))
        except LookError:
            pass  # The verdict says why nothing can be seen.
        finally:
            if own is not None:
                own.close()
