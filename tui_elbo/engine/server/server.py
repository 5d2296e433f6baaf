"""Where terminals come and go while the run goes on. Nobody else notices.

One thread reads what comes: commands of the terminal, visitors at the socket, prints. A visitor is
anyone of the same person's; it may ask how things stand, end the run, or become its terminal, which
then is told everything so far. Events are never waited for: what a terminal does not read is kept,
and beyond a bound it is told all of it anew once it reads again.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import msgspec

from tui_elbo import protocol
from tui_elbo.engine.forked import in_children
from tui_elbo.engine.server.client import Guest, Manners
from tui_elbo.engine.server.event_loop import Loop
from tui_elbo.engine.server.idle_timeout import Linger
from tui_elbo.engine.server.listener import Door
from tui_elbo.engine.server.stdout_capture import Prints
from tui_elbo.model.errors import ElboError, ProtocolError
from tui_elbo.model.history import History
from tui_elbo.protocol import (
    AnyCommand,
    Attach,
    EndRun,
    Event,
    Hello,
    Printed,
    ReportStatus,
    RunIdAssigned,
    RunStatus,
    StatusReported,
    TakenOver,
)
from tui_elbo.protocol.run_state import RunState

VISITORS = 32
"""More at a time are turned away."""


class Lobby:
    """Sends events to whoever is the terminal, and hands its commands on.

    Args:
        deliver: takes the commands, from a thread of its own.
        manners: what holds for the terminals.
        left: called when the terminal has gone and the run stays.
    """

    def __init__(
        self,
        deliver: Callable[[AnyCommand], object],
        manners: Manners,
        left: Callable[[], object] = lambda: None,
    ) -> None:
        self._deliver, self._manners, self._on_left = deliver, manners, left
        self._state = RunState()
        self._began = time.time()
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._terminal: Guest | None = None
        self._behind = False
        self._visitors: set[Guest] = set()
        self._door: Door | None = None
        self._newest = 0
        self._linger = Linger(manners.linger)
        self.loop = Loop()
        in_children(self._forget)

    @property
    def is_ours(self) -> bool:
        """False in a child that the person's code has forked."""
        return os.getpid() == self._process

    @property
    def attached(self) -> bool:
        """Whether the run has a terminal."""
        return self._terminal is not None

    @property
    def id(self) -> str:
        """The name of the run; empty while it has none."""
        return self._door.id if self._door else ""

    # What the run does.

    def history(self) -> History:
        """Every step of the run, copied."""
        with self._lock:
            return self._state.history.copy()

    def start(self, stream: socket.socket | None = None, output: int = -1) -> None:
        """Begin to read.

        Args:
            stream: a terminal that is there from the beginning.
            output: the descriptor that prints are read from, if any.
        """
        if stream is not None:
            self._terminal = self._welcome(stream)
        if output >= 0:
            prints = Prints(output)
            self.loop.add(output, lambda: self._print(prints))
        threading.Thread(target=self._read_on, daemon=True, name="elbo-tui").start()

    def open(self, name: str) -> str:
        """Give the run a name to be found under; returns why that cannot be, which is told too."""
        if self._door or not self._manners.stays:
            return ""
        try:
            self._door = Door(name)
        except ElboError as error:
            why = str(error).replace("\n  ", "; ")
            self.send(RunIdAssigned("", why))
            return why
        self.loop.add(self._door.listener, self._accept)
        self.loop.nudge()
        self.send(RunIdAssigned(self.id))
        return ""

    def send(self, event: Event) -> None:
        """Tell it, from any thread."""
        if not self.is_ours:
            return
        with self._lock:
            self._state.apply(event)
            if isinstance(event, RunStatus):
                self._linger.stands(event)
            self._tell(event)

    def close(self, patience: float = 0.0) -> None:
        """Leave no socket behind; the terminal may read for so many seconds what is to be told."""
        with self._lock:
            self._unlink()
            until = time.monotonic() + patience
            line = self._terminal.line if self._terminal else None
            while line is not None and line.waiting and time.monotonic() < until:
                time.sleep(0.005)
                line.flush()
            self.loop.stop()
            self._let_go()
            self._terminal, self._visitors = None, set()

    def end(self, code: int = 0) -> None:
        """End the process at once; no socket is left behind."""
        self._unlink()
        os._exit(code)

    # The thread.

    def _read_on(self) -> None:
        while self.loop.open:
            self.loop.turn(self._patience())
            with self._lock:
                self._look_for_room()
            if self._patience() == 0.0:
                self.end()
        self.loop.forget()

    def _patience(self) -> float | None:
        """Seconds until something may have to be done unasked."""
        return None if self.attached or self._door is None else self._linger.patience()

    def _look_for_room(self) -> None:
        """Watch for room as long as something waits."""
        for guest in self._guests():
            guest.line.flush()
            if guest is self._terminal and self._behind and not guest.line.waiting:
                self._behind = False
                self._replay(guest)
            self.loop.want_room(guest.line.stream, guest.line.waiting)

    def _print(self, prints: Prints) -> None:
        data = prints.read(self._terminal.line.size if self._terminal else 0)
        if data is None:
            self.loop.remove(prints.output)
        elif data:
            self.send(Printed(data))

    # Who comes and goes.

    def _welcome(self, stream: socket.socket) -> Guest:
        guest = Guest(stream)
        guest.put(Hello(protocol.VERSION, os.getpid(), self._manners.tells_output))
        self.loop.add(stream, partial(self._read, guest))
        return guest

    def _accept(self) -> None:
        stream = self._door.accept() if self._door else None
        if stream is not None:
            few = len(self._visitors) < VISITORS
            self._visitors.add(self._welcome(stream)) if few else stream.close()

    def _read(self, guest: Guest) -> None:
        if guest not in self._guests():
            return
        try:
            commands = guest.read()
            for command in commands or ():
                if guest is self._terminal:
                    self._command(guest, command)
                elif guest in self._visitors:
                    self._answer(guest, command)
            if commands is not None:
                return
        except ProtocolError as error:
            guest.refuse(error.what)
            if guest is self._terminal and not self._stays:
                print(f"elbo-tui: {error}", file=sys.stderr, flush=True)
        self._leave(guest)

    def _command(self, guest: Guest, command: AnyCommand) -> None:
        """What the terminal asks."""
        if isinstance(command, EndRun) and not self._manners.refuses_end:
            self.end()
        seq = guest.base + command.seq
        self._newest = max(self._newest, seq)
        self._linger.asked(seq)
        self._deliver(msgspec.structs.replace(command, seq=seq))

    def _answer(self, guest: Guest, command: AnyCommand) -> None:
        """What a visitor asks."""
        match command:
            case ReportStatus():
                guest.put(self._surveyed())
            case Attach():
                self._attach(guest)
            case EndRun() if not self._manners.refuses_end:
                self.end()
            case EndRun():
                guest.refuse(self._manners.refuses_end)
            case _:
                guest.refuse("a command of one that is not the run's terminal")

    def _surveyed(self) -> StatusReported:
        loaded, level = self._state.loaded, self._state.level
        return StatusReported(
            id=self.id,
            scenario=loaded.name if loaded else "",
            path=loaded.path if loaded else "",
            step=level.step if level else 0,
            state=level.state if level else "loading",
            target=level.target if level else None,
            since=self._began,
            pid=os.getpid(),
            attached=self.attached,
            watched=loaded is not None and loaded.watched,
        )

    def _attach(self, guest: Guest) -> None:
        with self._lock:
            if guest not in self._visitors:
                return  # the lobby has been closed meanwhile
            self._visitors.remove(guest)
            before, self._terminal = self._terminal, guest
            if before is not None:
                before.line.begin_anew()
                before.put(TakenOver())
                self.loop.remove(before.line.stream)
                before.line.close()
            guest.base, self._behind = self._newest, False
            self._replay(guest)

    def _replay(self, guest: Guest) -> None:
        guest.line.put_all(map(guest.numbered, self._state.events()))

    def _leave(self, guest: Guest) -> None:
        with self._lock:
            self.loop.remove(guest.line.stream)
            guest.line.close()
            was_terminal = guest is self._terminal
            if not was_terminal:
                self._visitors.discard(guest)
            elif self._stays:
                self._terminal = None
                self._linger.alone()
        if was_terminal and not self._stays:
            # The other thread may be anywhere in the person's code: nothing waits for it.
            self.end()
        if was_terminal:
            self._on_left()

    @property
    def _stays(self) -> bool:
        return self._manners.stays and self._door is not None

    def _tell(self, event: Event) -> None:
        guest = self._terminal
        if guest is None or self._behind:
            return
        guest.put(event)
        if guest.line.full:
            guest.line.begin_anew()
            self._behind = True
        if guest.line.waiting:
            self.loop.nudge()

    def _guests(self) -> list[Guest]:
        return [*self._visitors, *([self._terminal] if self._terminal else [])]

    def _let_go(self) -> None:
        """Close every socket, and say nothing more."""
        for guest in self._guests():
            guest.line.close()
        if self._door is not None:
            self._door.close()

    def _unlink(self) -> None:
        if self._door is not None:
            self._door.unlink()

    def _forget(self) -> None:
        """A process that the person's code has forked holds none of our sockets."""
        self._let_go()
        self.loop.forget_in_child()
