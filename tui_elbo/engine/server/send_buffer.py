"""The way to one terminal. What is put into it is sent in order, and nobody waits for that."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Iterator

from tui_elbo.protocol import Event, frame

MOST = 16 * 2**20
"""Bytes that wait for a terminal that does not read; then it is told all of it anew, later."""


class Line:
    """Sends what can be sent at once, and the rest when told that there is room.

    Whoever uses it from several threads sees to it that they take turns.

    Args:
        stream: a connected socket.
    """

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self.stream = stream
        self.broken = False
        """Whether the other end is gone; what is put is then forgotten."""
        self._now = memoryview(b"")
        self._coming: deque[bytes | Iterator[Event]] = deque()
        self.size = 0
        """Bytes that wait; what is made only when there is room for it does not count."""

    @property
    def waiting(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._now or self._coming)

    @property
    def full(self) -> bool:
        """Whether so much is waiting that it is better to begin anew."""
        return self.size > MOST

    def put(self, event: Event) -> None:
        """Send it after all that was put before."""
        data = frame(event)
        self._coming.append(data)
        self.size += len(data)
        self.flush()

    def put_all(self, events: Iterable[Event]) -> None:
        """Send these after all that was put before; each is made when there is room for it."""
        self._coming.append(iter(events))
        self.flush()

    def begin_anew(self) -> None:
        """Forget what is waiting, but for the rest of a message that was begun."""
        self._coming.clear()
        self.size = 0

    def flush(self) -> None:
        """Send what can be sent now."""
        try:
            while not self.broken and (self._now or self._next()):
                self._now = self._now[self.stream.send(self._now) :]
        except BlockingIOError:
            pass
        except OSError:
            self.broken = True
            self.begin_anew()
            self._now = memoryview(b"")

    def close(self) -> None:
        """Be done with it; what was sent can still be read at the other end."""
        self.broken = True
        self.stream.close()

    def _next(self) -> bool:
        """Take up the next message; False if there is none."""
        while self._coming:
            first = self._coming[0]
            if isinstance(first, bytes):
                self._coming.popleft()
                self.size -= len(first)
                self._now = memoryview(first)
                return True
            event = next(first, None)
            if event is not None:
                self._now = memoryview(frame(event))
                return True
            self._coming.popleft()
        return False
