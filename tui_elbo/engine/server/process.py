"""The engine's process: one thread that owns torch and Pyro, and the server where terminals come.

torch is imported after the first word is sent.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Literal

from tui_elbo.engine.forked import users_code
from tui_elbo.engine.server.server import Server, ServerOptions
from tui_elbo.protocol import AnyCommand, EngineBusy, Event, Interrupt, Load
from tui_elbo.protocol.commands import Command

IDLE_TIMEOUT = 24 * 3600.0
"""Seconds for which a run without a terminal waits when it has nothing to do."""


WAKE: Literal["wake"] = "wake"
ALONE: Literal["alone"] = "alone"


def serve(fd: int, output: int = -1, idle_timeout: float = IDLE_TIMEOUT) -> None:
    """Serve the terminal at the other end of the socket `fd`.

    Args:
        fd: its descriptor.
        output: the read end of the pipe that is our stdout and stderr. With it, the run goes on
            when the terminal goes, and what is printed is sent; without, we end with the terminal.
        idle_timeout: seconds for which the run then waits when it has nothing to do.
    """
    apart = output >= 0
    connection = Connection(
        ServerOptions(stays=apart, idle_timeout=idle_timeout, sends_output=apart)
    )
    connection.server.start(socket.socket(fileno=fd), output)
    work(connection)


def work(connection: Connection) -> None:
    """Carry out what terminals ask, for as long as the process lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: connection.on_signal(number))
    connection.server.on_signal = connection.on_signal
    connection.server.wake_on_signals()
    streams = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    connection.send(EngineBusy("importing torch and Pyro"))
    from tui_elbo.engine.scenario_source import ScenarioSource  # noqa: PLC0415 - the terminal need not wait for it

    wake = lambda: connection.commands.put(WAKE)  # noqa: E731
    server = connection.server
    source = ScenarioSource(connection.send, wake, server.history, server.branch_history)
    signal.signal(signal.SIGINT, connection.not_within_a_message(source.interrupt))
    plain, warnings.showwarning = warnings.showwarning, source.show_warning
    os.register_at_fork(after_in_child=partial(_behave_as_plain_python, plain))
    connection.send(EngineBusy(""))
    while True:
        # The person's code may have closed the streams; an interrupt may come late.
        with suppress(OSError, ValueError, KeyboardInterrupt), users_code():
            if source.ready and connection.commands.empty():
                source.work()
            elif isinstance(command := connection.commands.get(), Command):
                source.handle(command)
            elif command == ALONE:
                source.left_alone()
            elif command is None:
                source.send_status()
            for stream in streams:
                stream.flush()


def _behave_as_plain_python(show_warning: Callable[..., None]) -> None:
    """A child that the user's code has forked: signals and warnings are none of ours."""
    warnings.showwarning = show_warning
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Connection:
    """Sends events, and queues the commands that come.

    Args:
        options: what holds for the terminals.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.server = Server(self._deliver, options, lambda: self.commands.put(ALONE))
        self._sending = self._interrupted = False
        self.commands: SimpleQueue[AnyCommand | Literal["wake", "alone"] | None] = SimpleQueue()
        """What is still to be carried out, in order; None: report the status; "wake": see whether
        there is something to do; "alone": the terminal has left."""

    def send(self, event: Event) -> None:
        """Tell it, from any thread; no signal breaks in."""
        main = threading.current_thread() is threading.main_thread()
        self._sending |= main
        self.server.send(event)
        if main:
            self._sending = False
            if self._interrupted:
                self._interrupted = False
                signal.raise_signal(signal.SIGINT)

    def on_signal(self, number: int) -> None:
        """A signal has come; the main thread may be asleep."""
        if number == signal.SIGTERM:
            self.server.end(128 + number)
        self.commands.put(None)

    def not_within_a_message(self, act: Callable[[], None]) -> Callable[..., None]:
        """A signal handler that does `act`, but not before a message is sent whole.

        What `act` changes is reported, unless it raises: then whoever catches it reports.
        """

        def handler(*_: object) -> None:
            if self._sending:
                self._interrupted = True
            else:
                act()
                self.commands.put(None)

        return handler

    def _deliver(self, command: AnyCommand) -> None:
        if isinstance(command, Interrupt):
            main = threading.main_thread().ident
            if main is not None:
                signal.pthread_kill(main, signal.SIGINT)
            return
        if isinstance(command, Load):
            # From here on there is something that is worth going on without a terminal.
            self.server.open(name_of(command.target))
        self.commands.put(command)


def name_of(target: str) -> str:
    """A short name for a scenario, from what it was asked for by."""
    name = os.path.basename(target.strip().rstrip(os.sep))
    return name.removesuffix(".py") if name.endswith(".py") else name.rpartition(".")[2]
