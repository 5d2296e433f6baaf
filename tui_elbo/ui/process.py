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

EXIT_GRACE = 0.08
"""Seconds in which an engine ends by itself when asked to."""


class EngineProcess:
    """A running engine, the leader of its own session.

    Args:
        process: the engine; its stdout and stderr are `output`.
        line: our end of the socket pair.
        output: the read end of the pipe.
    """

    def __init__(self, process: subprocess.Popen[bytes], line: socket.socket, output: int) -> None:
        self.process, self.line, self.output = process, line, output
        line.setblocking(False)
        os.set_blocking(output, False)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in what the engine's Python is doing."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGINT)

    def ask_to_end(self) -> None:
        """Send SIGTERM, and wait for nothing."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)

    def end(self, grace: float = EXIT_GRACE) -> None:
        """End the engine and everything it started; blocks for `grace` seconds at most.

        May be called again.
        """
        if self.output < 0:
            return
        self.ask_to_end()
        until = time.monotonic() + grace
        while self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        self._kill_group()
        self.process.wait()
        self.line.close()
        os.close(self.output)
        self.output = -1

    def _kill_group(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
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
    """Start `argv` with the number of a socket's file descriptor as its last argument.

    It gets a session of its own, no stdin, and one pipe for stdout and stderr.

    Raises:
        OSError: if the program cannot be started.
    """
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [*argv, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    assert process.stdout is not None
    output = os.dup(process.stdout.fileno())
    process.stdout.close()
    return EngineProcess(process, ours, output)
