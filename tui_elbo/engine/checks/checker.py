"""Follows a run with the rules, and sends its findings whenever they change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any

from tui_elbo.engine.checks import static
from tui_elbo.engine.checks.catalogue import rule_named
from tui_elbo.engine.checks.ledger import Ledger
from tui_elbo.engine.lens.fork import ForkedCall, LookError, in_thread
from tui_elbo.model.findings import Finding
from tui_elbo.protocol import DismissFinding, Event, FindingsChanged


class Checker:
    """The findings of one run at a time; none at first.

    The static rules run in a forked copy, for which a thread waits; the run does not.

    Args:
        send: takes the events, from any thread.
    """

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send
        self._lock = threading.RLock()
        self._call: ForkedCall | None = None
        self._done = threading.Event()
        self._done.set()
        self._ledger = Ledger()
        self._unchecked: tuple[str, ...] = ()
        self._unknown: tuple[str, ...] = ()
        self._examined = -1
        self._running: tuple[Finding, ...] = ()
        self._before_steps: tuple[Finding, ...] = ()

    @property
    def static_findings(self) -> tuple[Finding, ...]:
        """What was found before the first step."""
        return self._before_steps

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that stand, the gravest first."""
        return self._ledger.findings

    def follow(self, scenario: Any, *, ignore: Collection[str] = ()) -> None:
        """Check a run that stands before its first step, and keep its findings from now on.

        Args:
            scenario: a `Subject`.
            ignore: codes and names of rules that are not to be reported.
        """
        self.leave()
        with self._lock:
            self._ledger, self._unchecked = Ledger(ignore), ()
            self._running = self._before_steps = ()
            self._examined = -1
            self._unknown = tuple(
                f'the scenario ignores "{name}", which is no rule'
                for name in ignore
                if rule_named(name) is None
            )
            try:
                call = self._call = static.begin(scenario)
            except LookError as error:
                self._take(static.could_not(error))
                return
            self._done.clear()
        in_thread(lambda: self._wait(call))

    def begin(self, *, ignore: Collection[str] = (), known: Iterable[Finding] = ()) -> None:
        """Keep the findings of another run, without a look before its first step.

        Args:
            ignore: codes and names of rules that are not to be reported.
            known: what such a look has found before.
        """
        self.leave()
        self._ledger, self._examined = Ledger(ignore), -1
        self._before_steps = tuple(known)
        self._ledger.add(self._before_steps)

    def leave(self) -> None:
        """Follow it no longer; what is under way is dropped."""
        with self._lock:
            self._call = None
            self._ledger, self._unchecked = Ledger(), ()
            self._running = self._before_steps = ()
            self._done.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the static rules are done; None: for as long as that takes."""
        self._done.wait(seconds)

    def running(self, found: Iterable[Finding]) -> None:
        """Take in all that the rules on the running run find now; what they found before and find
        no longer is resolved.
        """
        with self._lock:
            before = {one.key: one for one in self._running}
            self._running = tuple(_kept(before.get(one.key), one) for one in found)
            gone = before.keys() - {one.key for one in self._running}
            resolved = self._ledger.resolve(gone)
            if self._ledger.add(self._running) or resolved:
                self._tell()

    def examined(self, step: int) -> None:
        """The rules have run the model at this step; what they find there comes after."""
        with self._lock:
            self._examined = step
            self._tell()

    def rewound(self, step: int) -> None:
        """The run stands at an earlier step."""
        with self._lock:
            self._examined = min(self._examined, step)
            if self._ledger.forget_after(step):
                self._tell()

    def dismiss(self, command: DismissFinding) -> None:
        """Put a finding aside for this run, or take it back."""
        with self._lock:
            self._ledger.dismiss(command.code, command.subject, dismissed=command.dismissed)
            self._tell()

    def _wait(self, call: ForkedCall) -> None:
        try:
            found = static.finished(call)
        except LookError as error:
            found = static.could_not(error)
        with self._lock:
            if self._call is call:
                self._call = None
                self._take(found)
                self._done.set()

    def _take(self, found: static.Checked) -> None:
        self._unchecked, self._before_steps = (*self._unknown, *found.unchecked), found.findings
        self._ledger.add(found.findings)
        if found.looked:
            self._examined = max(self._examined, 0)
        self._tell()

    def _tell(self) -> None:
        ledger = self._ledger
        self._send(
            FindingsChanged(ledger.findings, ledger.dismissed, self._unchecked, self._examined)
        )


def _kept(before: Finding | None, now: Finding) -> Finding:
    """What is found again keeps its words until the run is twice as old: they hold still."""
    return now if before is None or now.step >= 2 * before.step else before
