"""The engine's process and the two lines to it: a socket for messages, a pipe for prints.

It needs nothing but the standard library, so the command starts the engine before it imports the
screen, and both are ready sooner.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

EXIT_GRACE = 0.08
"""Seconds in which an engine ends by itself when asked to."""


class Engine:
    """A running engine, wherever it comes from.

    Args:
        line: our end of a socket.
        output: the read end of a pipe with what it prints; -1 for none.
    """

    attached = False
    """Whether it had a run before this terminal came."""

    def __init__(self, line: socket.socket, output: int) -> None:
        self.line, self.output = line, output
        self.over = False
        """Whether this terminal has nothing to do with it any more."""
        line.setblocking(False)

    def gone(self) -> bool:
        """Whether it is known to have ended."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in what the engine's Python is doing."""
        raise NotImplementedError

    def ask_to_end(self) -> None:
        """Ask it to end, and wait for nothing."""
        raise NotImplementedError

    def end(self, grace: float = EXIT_GRACE) -> None:
        """End it; blocks for `grace` seconds at most. May be called again."""
        raise NotImplementedError

    def end_text(self) -> str:
        """How it ended, in words."""
        raise NotImplementedError

    def let_go(self) -> None:
        """Leave it running. Nothing more is received from it."""
        if not self.over:
            self.over = True
            self.line.close()
            if self.output >= 0:
                os.close(self.output)


class EngineProcess(Engine):
    """An engine of our own, the leader of its own session.

    Args:
        process: the engine; its stdout and stderr are `output`.
        line: our end of the socket pair.
        output: the read end of the pipe.
    """

    def __init__(self, process: subprocess.Popen[bytes], line: socket.socket, output: int) -> None:
        super().__init__(line, output)
        self.process = process
        os.set_blocking(output, False)

    def gone(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def interrupt(self) -> None:
        """Send SIGINT."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGINT)

    def ask_to_end(self) -> None:
        """Send SIGTERM, and wait for nothing."""
        if not self.over and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)

    def end(self, grace: float = EXIT_GRACE) -> None:
        """End the engine and everything it started; blocks for `grace` seconds at most.

        May be called again.
        """
        if self.over:
            return
        self.ask_to_end()
        until = time.monotonic() + grace
        while self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        self._kill_group()
        self.process.wait()
        self.let_go()

    def _kill_group(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            with suppress(ProcessLookupError):
                self.process.kill()

    def end_text(self) -> str:
        """How it ended, in words."""
        code = self.process.poll()
        if code is None:
            return "the engine closed its connection"
        if code < 0:
            return f"the engine was killed (signal {-code})"
        return f"the engine ended by itself (exit code {code})"


def spawn(argv: Sequence[str]) -> EngineProcess:
    """Start `argv` with the numbers of two file descriptors as its last arguments.

    The first is that of a socket, the second that of the read end of its own stdout, which it may
    read itself. It gets a session of its own, no stdin, and one pipe for stdout and stderr.

    Raises:
        OSError: if the program cannot be started.
    """
    ours, theirs = socket.socketpair()
    output, printed = os.pipe()
    try:
        process = subprocess.Popen(
            [*argv, str(theirs.fileno()), str(output)],
            pass_fds=(theirs.fileno(), output),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError:
        ours.close()
        os.close(output)
        raise
    finally:
        theirs.close()
        os.close(printed)
    return EngineProcess(process, ours, output)
