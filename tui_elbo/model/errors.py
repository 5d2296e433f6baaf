"""One family of errors: what is wrong, where, and what to do about it.

Every error that a person may meet is one of these. The command prints `str(error)`, the explorer
shows it in a line or two, and the traceback of the person's own code stays one key away.
"""

from __future__ import annotations


class ElboError(Exception):
    """Something that a person can act on.

    Args:
        what: what went wrong, one sentence without a full stop.
        where: the file, line, site, parameter or step; empty when there is none.
        hint: what to do next; empty when nothing can be said.
        traceback: the traceback in the person's own code, as text; empty when there is none.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "", traceback: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.hint, self.traceback = what, where, hint, traceback

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head


class UsageError(ElboError):
    """The command or a key was asked for something that does not exist."""

    exit_code = 2


class ScenarioError(ElboError):
    """A scenario could not be loaded, or breaks the contract of a scenario."""


class StepError(ElboError):
    """A step raised; the run stays at the last good step."""


class ProtocolError(ElboError):
    """A message between the terminal and the engine that does not decode."""
