"""An engine that had a run before this terminal came."""

from __future__ import annotations

import socket
from pathlib import Path

from tui_elbo.client.process import EXIT_GRACE, Engine


class Attached(Engine):
    """The engine of a live run.

    Args:
        path: the socket at which it listens.

    Raises:
        OSError: if it does so no more.
    """

    attached = True

    def __init__(self, path: Path) -> None:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.connect(str(path))
        except OSError:
            line.close()
            raise
        super().__init__(line, output=-1)

    def gone(self) -> bool:
        """The connection reports its end."""
        return False

    def interrupt(self) -> None:
        """The connection asks it to interrupt itself."""

    def ask_to_end(self) -> None:
        """The connection asks it."""

    def end(self, grace: float = EXIT_GRACE) -> None:
        """The connection has asked it to end; nothing waits for it."""
        del grace
        self.let_go()

    def end_text(self) -> str:
        """All that can be known of it."""
        return "the run has ended"
