"""The engine's process and its connection to the terminal.

One thread owns torch and Pyro (`driver`); another, here, only reads commands and queues them, and
ends the process when the terminal goes away. torch is imported after the first word is sent.
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
from queue import SimpleQueue

from tui_elbo import protocol
from tui_elbo.errors import ProtocolError
from tui_elbo.protocol import AnyCommand, Event, Hello, Phase


def serve(fd: int) -> None:
    """Serve the terminal at the other end of the socket `fd`, for as long as it is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    streams = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    connection = Connection(socket.socket(fileno=fd))
    connection.send(Hello(protocol.VERSION, os.getpid()))
    connection.send(Phase("importing torch and Pyro"))
    from tui_elbo.engine.driver import Driver  # noqa: PLC0415 - the terminal need not wait for it

    driver = Driver(connection.send, lambda: not connection.commands.empty())
    signal.signal(signal.SIGINT, connection.not_within_a_message(driver.interrupt))
    warnings.showwarning = driver.warned
    connection.send(Phase(""))
    while connection.is_ours:
        # The person's code may have closed the streams; an interrupt may come late.
        with suppress(OSError, ValueError, KeyboardInterrupt):
            if driver.busy and connection.commands.empty():
                driver.work()
            elif (command := connection.commands.get()) is not None:
                driver.carry_out(command)
            else:
                driver.tell()
            for stream in streams:
                stream.flush()
    os._exit(1)  # a child that the person's code has forked, and an error has brought back here


class Connection:
    """Sends events, and queues the commands that come.

    Args:
        stream: a stream socket; its other end speaks `tui_elbo.protocol`.
    """

    def __init__(self, stream: socket.socket) -> None:
        stream.set_inheritable(False)
        self._stream, self._process = stream, os.getpid()
        self._lock = threading.RLock()
        self._sending = self._interrupted = False
        self.commands: SimpleQueue[AnyCommand | None] = SimpleQueue()
        """What is still to be carried out, in order; None: tell how things stand."""
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def is_ours(self) -> bool:
        """False in a child that the person's code has forked."""
        return os.getpid() == self._process

    def send(self, event: Event) -> None:
        """Send it whole, from any thread; the process ends if the terminal is gone."""
        if not self.is_ours:
            return
        main = threading.current_thread() is threading.main_thread()
        data = protocol.frame(event)
        self._sending |= main
        try:
            with self._lock:
                self._stream.sendall(data)
        except OSError:
            os._exit(0)
        if main:
            self._sending = False
            if self._interrupted:
                self._interrupted = False
                signal.raise_signal(signal.SIGINT)

    def not_within_a_message(self, act: Callable[[], None]) -> Callable[..., None]:
        """A signal handler that does `act`, but not before a message is sent whole.

        What `act` changes is told, unless it raises: then whoever catches it tells.
        """

        def handler(*_: object) -> None:
            if self._sending:
                self._interrupted = True
            else:
                act()
                self.commands.put(None)

        return handler

    def _read(self) -> None:
        decoder: protocol.Decoder[AnyCommand] = protocol.Decoder(AnyCommand)
        stderr = sys.stderr
        try:
            while data := self._stream.recv(65536):
                for command in decoder.feed(data):
                    self.commands.put(command)
        except ProtocolError as error:
            print(f"elbo-tui: {error}", file=stderr, flush=True)
        finally:
            # The other thread may be anywhere in the person's code: nothing waits for it.
            os._exit(0)
