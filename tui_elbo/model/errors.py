"""One family of errors: what is wrong, where, and what to do about it.

Every error that a person may meet is one of these. The command prints `str(error)`, the explorer
shows it in a line or two, and the traceback of the person's own code stays one key away.
"""

from __future__ import annotations

import re


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
        line = source_line(self.where, self.traceback)
        return "\n  ".join(part for part in (head, line, self.hint) if part)


def source_line(where: str, traceback: str) -> str:
    """The line of source at a place, as the traceback has it; empty if it has not.

    Args:
        where: `file:line`.
        traceback: as Python writes it.
    """
    path, _, number = where.rpartition(":")
    frame = re.escape(f'File "{path}", line {number}')
    found = re.search(rf"^ *{frame}\b.*\n +(?!File )(\S.*)", traceback, re.MULTILINE)
    return found[1].rstrip() if found and number.isdigit() else ""


class UsageError(ElboError):
    """The command or a key was asked for something that does not exist."""

    exit_code = 2


class ScenarioError(ElboError):
    """A scenario could not be loaded, or breaks the contract of a scenario."""


class StepError(ElboError):
    """A step raised; the run stays at the last good step."""


class ProtocolError(ElboError):
    """A message between the terminal and the engine that does not decode."""
