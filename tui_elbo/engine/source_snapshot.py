"""The files that a run was executed from: kept as they were, and compared with how they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from tui_elbo.model.errors import UsageError
from tui_elbo.model.scenarios import ScenarioFile
from tui_elbo.protocol import RunFlagged

_UNKNOWN = object()
"""The stamp of a file that may have changed since its text was read."""


class SourceSnapshot:
    """A scenario's files as they were when the run began.

    Args:
        source: the scenario; its own text is kept, so that it can be executed again.
        text: what it was executed from, if that is not what the file says now.
    """

    def __init__(self, source: ScenarioFile, text: bytes | None = None) -> None:
        self.source = source
        self.text = source.path.read_bytes() if text is None else text
        """What the run was executed from, whatever the file says by now."""
        self._reported = False
        self._seen: dict[Path, tuple[object, bytes]] = {}

    def note(self, paths: Sequence[Path]) -> None:
        """The files that were executed with it, modules of its own; noted once each."""
        for path in (self.source.path, *paths):
            if path not in self._seen:
                own = path == self.source.path
                digest = hashlib.sha256(self.text).digest() if own else _digest(path)
                self._seen[path] = (_UNKNOWN if own else _stamp(path), digest)

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each of them as it was."""
        return {str(path): digest.hex() for path, (_, digest) in self._seen.items()}

    def changed(self) -> list[Path]:
        """Those that are not as they were."""
        return [path for path in self._seen if self._has_changed(path)]

    def missing(self) -> list[Path]:
        """Those that have changed and cannot be executed again as they were."""
        own = self.source.path if self.source.module is None else None
        return [path for path in self.changed() if path != own]

    def look(self, tell: Callable[[RunFlagged], object]) -> None:
        """Say, once, that the files are not what the run was executed from."""
        if self._reported or not (changed := self.changed()):
            return
        self._reported = True
        names = " and ".join(path.name for path in changed[:3])
        text = f"{names} changed since the run began, which keeps to what it was: R reloads it"
        tell(RunFlagged("source", text))

    def require(self, earliest: int) -> None:
        """See that the scenario can be executed again as it was.

        Args:
            earliest: the first step that can be gone back to without; 0 if there is none.

        Raises:
            UsageError: if it cannot.
        """
        missing = self.missing()
        if missing:
            reach = f"; step {earliest} can be gone back to" if earliest else ""
            what = f"{missing[0].name} has changed since the run began, and would be executed again"
            raise UsageError(what, hint=f"R reloads it{reach}")

    def _has_changed(self, path: Path) -> bool:
        stamp, digest = self._seen[path]
        now = _stamp(path)
        if now == stamp:
            return False
        if _digest(path) != digest:
            return True
        self._seen[path] = (now, digest)
        return False


def _stamp(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""
