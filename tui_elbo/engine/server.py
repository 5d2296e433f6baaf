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
from queue import SimpleQueue

from tui_elbo import protocol
from tui_elbo.errors import ProtocolError
from tui_elbo.protocol import AnyCommand, Event, Hello, Phase


def serve(fd: int) -> None:
    """Serve the terminal at the other end of the socket `fd`, for as long as it is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    connection = Connection(socket.socket(fileno=fd))
    connection.send(Hello(protocol.VERSION, os.getpid()))
    connection.send(Phase("importing torch and Pyro"))
    from tui_elbo.engine.driver import Driver  # noqa: PLC0415 - the terminal need not wait for it

    driver = Driver(connection.send)
    signal.signal(signal.SIGINT, driver.interrupt)
    warnings.showwarning = driver.warned
    connection.send(Phase(""))
    while True:
        if driver.running and connection.commands.empty():
            driver.burst()
        else:
            driver.carry_out(connection.commands.get())
        for stream in (sys.stdout, sys.stderr):
            stream.flush()


class Connection:
    """Sends events, and queues the commands that come.

    Args:
        stream: a stream socket; its other end speaks `tui_elbo.protocol`.
    """

    def __init__(self, stream: socket.socket) -> None:
        stream.set_inheritable(False)
        self._stream = stream
        self.commands: SimpleQueue[AnyCommand] = SimpleQueue()
        """What is still to be carried out, in order."""
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, event: Event) -> None:
        """Send it; the process ends if the terminal is gone."""
        try:
            self._stream.sendall(protocol.frame(event))
        except OSError:
            os._exit(0)

    def _read(self) -> None:
        decoder: protocol.Decoder[AnyCommand] = protocol.Decoder(AnyCommand)
        try:
            while data := self._stream.recv(65536):
                for command in decoder.feed(data):
                    self.commands.put(command)
        except ProtocolError as error:
            print(f"elbo-tui: {error}", file=sys.stderr, flush=True)
        except OSError:
            pass
        # The other thread may be anywhere in the person's code: nothing waits for it.
        os._exit(0)
