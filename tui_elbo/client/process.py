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
from collections.abc import Callable, Sequence
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

    script = False
    """Whether it is a script of the person's own, which loads nothing for us."""

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
        # With 0 it may have been ended from elsewhere, as by `elbo-tui end`.
        own = " by itself" if code else ""
        return f"the engine ended{own} (exit code {code})"


class ScriptProcess(EngineProcess):
    """A script of the person's own, started by us; it ends by itself."""

    script = True

    def interrupt(self) -> None:
        """Its training pauses between two steps; within one it is left alone."""

    def end(self, grace: float = EXIT_GRACE) -> None:
        """End it, if it has not ended; what it has started then goes on."""
        if not self.over and self.process.poll() is not None:
            self.let_go()
        else:
            super().end(grace)

    def end_text(self) -> str:
        """How it ended, in words."""
        code = self.process.poll()
        if code is None:
            return "the script has closed its connection"
        how = f"was killed by signal {-code}" if code < 0 else f"has ended with exit code {code}"
        return f"the script {how}"


def spawn(argv: Sequence[str]) -> EngineProcess:
    """Start `argv` with the numbers of two file descriptors as its last arguments.

    The first is that of a socket, the second that of the read end of its own stdout, which it may
    read itself. It gets a session of its own, no stdin, and one pipe for stdout and stderr.

    Raises:
        OSError: if the program cannot be started.
    """
    process, ours, output = _spawned(lambda line, out: [*argv, str(line), str(out)])
    return EngineProcess(process, ours, output)


def spawn_script(
    argv: Sequence[str], environment: Callable[[int, int], dict[str, str]], *, has_stdin: bool
) -> ScriptProcess:
    """Start a script, in a session of its own.

    Args:
        argv: Python and its arguments.
        environment: that of the script, from the numbers of the two descriptors.
        has_stdin: whether our stdin is the script's; else it reads end of file.

    Raises:
        OSError: if it cannot be started.
    """
    stdin = None if has_stdin else subprocess.DEVNULL
    process, ours, output = _spawned(lambda _, __: argv, environment, stdin)
    return ScriptProcess(process, ours, output)


def _spawned(
    argv: Callable[[int, int], Sequence[str]],
    environment: Callable[[int, int], dict[str, str]] | None = None,
    stdin: int | None = subprocess.DEVNULL,
) -> tuple[subprocess.Popen[bytes], socket.socket, int]:
    ours, theirs = socket.socketpair()
    output, printed = os.pipe()
    try:
        process = subprocess.Popen(
            argv(theirs.fileno(), output),
            env=environment(theirs.fileno(), output) if environment else None,
            pass_fds=(theirs.fileno(), output),
            stdin=stdin,
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
    return process, ours, output
