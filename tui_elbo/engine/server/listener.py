"""The socket at which a run is found."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from tui_elbo.protocol import runtime_dir


class Door:
    """Listens under a name; whoever belongs to the same person may come in.

    Args:
        name: of the run, as far as it is free.

    Raises:
        UsageError: if there is no place for it.
    """

    def __init__(self, name: str) -> None:
        self.listener, self._path = runtime_dir.claim(name)
        self.listener.setblocking(False)
        self._process = os.getpid()
        self.id = self._path.stem
        """What the run is called."""

    def accept(self) -> socket.socket | None:
        """The next who has come, if it may come in."""
        try:
            stream, _ = self.listener.accept()
        except OSError:
            return None
        if runtime_dir.is_the_same_persons(stream):
            return stream
        stream.close()
        return None

    def unlink(self) -> None:
        """Be found no more."""
        if os.getpid() == self._process:
            with suppress(OSError):
                self._path.unlink()

    def close(self) -> None:
        """Let nobody in any more."""
        self.listener.close()
