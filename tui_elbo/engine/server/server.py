"""The server of a run: terminals attach and leave, and the run never waits for them.

An asyncio loop in a thread of its own reads what comes: commands of the terminal, visitors at the
socket, output of the process. A visitor is any process of the same user; it may ask how the run
stands, end it, or attach and become its terminal, which then is sent everything so far. What a
terminal does not read is kept, and beyond a bound it is sent everything anew once it reads again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

import msgspec

from tui_elbo import protocol
from tui_elbo.engine.forked import detach_descriptor, in_children
from tui_elbo.engine.process_memory import memory_held
from tui_elbo.engine.server.client import Client
from tui_elbo.engine.server.stdout_capture import StdoutCapture
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
    RunUntil,
    StatusReported,
    Step,
    StepInto,
    TakenOver,
    runtime_dir,
)
from tui_elbo.protocol.run_state import RunState

VISITORS = 32
"""Of more at a time the oldest are turned away."""

BIND_SECONDS = 10.0
"""Between looks whether the socket is still where it can be found."""

LAST_CALL = 30.0
"""Seconds for which the end waits at most until the loop's thread has done what it is at: where it
is within torch as Python ends, the process aborts."""

BUSY_LOOK = 1.0
"""Seconds between looks at whether a run without a terminal has come to its end, at least."""


@dataclass(frozen=True)
class ServerOptions:
    """What holds for the terminals of a run.

    Args:
        stays: whether the run goes on without a terminal, once it has a name.
        idle_timeout: seconds for which it then waits when it has nothing to do.
        sends_output: whether what is printed is sent.
        refuses_end: why no terminal can end the run, in words; empty if it can.
    """

    stays: bool = False
    idle_timeout: float = inf
    sends_output: bool = False
    refuses_end: str = ""


class IdleTimeout:
    """Since when a run has had nothing to do, and no terminal to do it for.

    Args:
        seconds: for which it then waits.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._level = RunStatus("loading", 0, None, 0.0, 0)
        self._since = time.monotonic()
        self.newest_command = 0
        """The number of the last command that has come."""
        self.newest_step = 0
        """The number of the last command that asked for steps."""

    def level(self, level: RunStatus) -> None:
        """How the run stands now."""
        self._level = level
        if not self.busy:
            self.begin()

    def begin(self) -> None:
        """The terminal has left, or the run has come to rest."""
        self._since = time.monotonic()

    def left(self) -> float | None:
        """Seconds until it may be time to end; 0 when it is; None for never."""
        if self._seconds == inf:
            return None
        if self.busy:
            return max(self._seconds, BUSY_LOOK)
        return max(0.0, self._since + self._seconds - time.monotonic())

    @property
    def busy(self) -> bool:
        """Whether it has something to do."""
        behind = self._level.seq < self.newest_command
        return self._level.state in ("running", "loading") or behind


RELEASE_SECONDS = 0.1
"""Between looks whether a slow terminal has room for the end of what was printed."""


class Server:
    """Sends events to the run's terminal, and hands its commands on.

    The public methods may be called from any thread; the others run on that of the loop.

    Args:
        deliver: takes the commands, on the loop's thread.
        options: what holds for the terminals.
        left: called when the terminal has left and the run stays.
    """

    def __init__(
        self,
        deliver: Callable[[AnyCommand], object],
        options: ServerOptions,
        left: Callable[[], object] = lambda: None,
    ) -> None:
        self._deliver, self._options, self._on_left = deliver, options, left
        self.on_signal: Callable[[int], object] = lambda _: None
        """Called with the number of each signal that Python has a handler for."""
        self.on_attach: Callable[[], Iterable[Event]] = tuple
        """Asked on the loop's thread, before a terminal is sent all, for what else is known."""
        self._state = RunState()
        self._began = time.time()
        self._process = os.getpid()
        self._terminal: Client | None = None
        self._visitors: dict[Client, None] = {}
        self._path: Path | None = None
        self._listener: socket.socket | None = None
        self._accepting: asyncio.AbstractServer | None = None
        self._idle = IdleTimeout(options.idle_timeout)
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        # Not that of a policy, which the user's code may have chosen.
        self._loop = asyncio.SelectorEventLoop()
        self._thread: threading.Thread | None = None
        self._signals: tuple[int, int] | None = None
        self._releasing = False
        self._capture: StdoutCapture | None = None
        in_children(self._detach_in_child)

    @property
    def is_ours(self) -> bool:
        """False in a child that the user's code has forked."""
        return os.getpid() == self._process

    @property
    def attached(self) -> bool:
        """Whether the run has a terminal."""
        return self._terminal is not None

    @property
    def id(self) -> str:
        """The name of the run; empty while it has none."""
        return self._path.stem if self._path else ""

    # Called from any thread.

    def start(self, stream: socket.socket | None = None, output: int = -1) -> None:
        """Begin to read.

        Args:
            stream: a terminal that is there from the beginning.
            output: the descriptor that output is read from, if any.
        """
        if stream is not None:
            stream.setblocking(False)
            self._loop.run_until_complete(
                self._loop.connect_accepted_socket(lambda: self._client(self._is_first), stream)
            )
        self._begin(output)

    def start_within(self, stream: socket.socket | None = None, output: int = -1) -> None:
        """Begin to read, as `start` does, where this thread may have an event loop of its own."""
        self._begin(output)
        if stream is not None:
            stream.setblocking(False)
            self._call(self._adopt, stream)

    def _begin(self, output: int) -> None:
        if output >= 0:
            capture = self._capture = StdoutCapture(output)
            self._loop.add_reader(output, self._read_output, capture)
        self._thread = threading.Thread(target=self._run, daemon=True, name="elbo-tui")
        self._thread.start()

    def wake_on_signals(self) -> None:
        """Have each signal call `on_signal`, even if the main thread is just about to sleep.

        To be called from the main thread.
        """
        read, write = self._signals = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._call(self._loop.add_reader, read, self._signalled, read)

    def open(self, name: str) -> str:
        """Give the run a name to be found under; returns why that cannot be, and sends it too."""
        if self._path or not self._options.stays:
            return ""
        try:
            self._listener, self._path = runtime_dir.claim(name)
        except ElboError as error:
            why = str(error).replace("\n  ", "; ")
            self.send(RunIdAssigned("", why))
            return why
        self._call(self._listen, self._listener)
        self.send(RunIdAssigned(self.id))
        return ""

    def send(self, event: Event, state: RunState | None = None) -> None:
        """Fold the event into the run's state, and send it to the terminal.

        Args:
            event: what has happened.
            state: of the run that it is about; None: the one that is shown. What happens to
                another one is kept, and not sent.
        """
        if self.is_ours:
            self._call(self._publish, event, state)

    def show(self, state: RunState) -> None:
        """Send the terminal another run of this process from now on, all of it."""
        if self.is_ours:
            self._call(self._show, state)

    def call(self, act: Callable[[], object]) -> None:
        """Have the loop's thread do this."""
        self._call(act)

    def call_later(self, seconds: float, act: Callable[[], object]) -> None:
        """Have the loop's thread do this after so many seconds."""
        self._call(self._loop.call_later, seconds, act)

    def history(self) -> History:
        """Every step of the run, copied."""
        found: Future[History] = Future()
        self._call(lambda: found.set_result(self._state.history.copy()))
        return found.result()

    def branch_history(self, number: int) -> History:
        """Every step of a branch, copied; none if there is no such branch."""
        found: Future[History] = Future()

        def look() -> None:
            branch = self._state.branches.get(number)
            found.set_result(History() if branch is None else branch.history.copy())

        self._call(look)
        return found.result()

    def close(self, patience: float = 0.0) -> None:
        """Leave no socket behind; the terminal may read for so many seconds what is to be sent."""
        if not self.is_ours:
            return
        self._unlink()
        if self._thread is None:
            if self._listener is not None:
                self._listener.close()
            self._loop.close()
        elif not self._closing:
            self._closing = True
            self._call(self._read_last)
            self._call(self._shut, time.monotonic() + patience)
            if threading.current_thread() is not self._thread:
                self._thread.join(patience + LAST_CALL)

    def end(self, code: int = 0) -> None:
        """End the process at once; no socket is left behind."""
        self._unlink()
        os._exit(code)

    def _call(self, method: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # The loop is closed: nobody is there any more.
            self._loop.call_soon_threadsafe(method, *args)

    def _unlink(self) -> None:
        if self._path is not None and self.is_ours:
            with suppress(OSError):
                self._path.unlink()

    def _detach_in_child(self) -> None:
        """A process that the user's code has forked holds none of our sockets."""
        for client in self._clients():
            client.detach_in_child()
        if self._listener is not None:
            detach_descriptor(self._listener.fileno())
        if self._signals is not None:
            with suppress(ValueError):
                signal.set_wakeup_fd(-1)

    # On the loop's thread.

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _shut(self, until: float) -> None:
        """Close every connection, once the terminal has read what is to be sent."""
        waiting = self._terminal is not None and self._terminal.waiting
        if waiting and time.monotonic() < until:
            self._loop.call_later(0.005, self._shut, until)
            return
        clients, self._terminal, self._visitors = self._clients(), None, {}
        for client in clients:
            client.transport.abort()
        if self._accepting is not None:
            self._accepting.close()
        elif self._listener is not None:
            self._listener.close()
        self._loop.call_soon(self._loop.stop)

    def _read_last(self) -> None:
        """Send what was printed just before the end."""
        capture = self._capture
        while capture is not None and (data := capture.read(0)):
            self._publish(Printed(data))

    def _publish(self, event: Event, state: RunState | None = None) -> None:
        if state is not None and state is not self._state:
            state.apply(event)
            return
        self._state.apply(event)
        if isinstance(event, RunStatus):
            self._idle.level(event)
        if self._terminal is not None:
            self._terminal.put(event)

    def _show(self, state: RunState) -> None:
        if state is not self._state:
            state.share(self._state)
            self._state = state
            if self._terminal is not None:
                self._terminal.put_all(state.events(output=False))

    def _read_output(self, capture: StdoutCapture) -> None:
        data = capture.read(self._terminal.buffered if self._terminal else 0)
        if data is None:
            self._loop.remove_reader(capture.output)
        elif data:
            self._publish(Printed(data))
        elif capture.holds and not self._releasing:
            self._releasing = True
            self._loop.call_later(RELEASE_SECONDS, self._release_output, capture)

    def _release_output(self, capture: StdoutCapture) -> None:
        """Send the end of what was printed once the terminal has read enough."""
        self._releasing = False
        data = capture.release(self._terminal.buffered if self._terminal else 0)
        if data:
            self._publish(Printed(data))
        elif capture.holds:
            self._releasing = True
            self._loop.call_later(RELEASE_SECONDS, self._release_output, capture)

    def _signalled(self, read: int) -> None:
        with suppress(BlockingIOError):
            for number in filter(None, os.read(read, 4096)):
                self.on_signal(number)

    def _adopt(self, stream: socket.socket) -> None:
        factory = lambda: self._client(self._is_adopted)  # noqa: E731
        self._adopting = self._loop.create_task(self._loop.connect_accepted_socket(factory, stream))

    def _listen(self, listener: socket.socket) -> None:
        async def listen() -> None:
            factory = lambda: self._client(self._is_welcome)  # noqa: E731
            if self._closing:
                return
            self._accepting = await self._loop.create_unix_server(factory, sock=listener)

        self._listening = self._loop.create_task(listen())
        self._watch_idle()
        self._loop.call_later(BIND_SECONDS, self._watch_socket, listener)

    def _watch_socket(self, listener: socket.socket) -> None:
        """Bind again, in whichever folder there is, if the socket has been removed."""
        if self._closing or self._path is None or listener is not self._listener:
            return
        if not self._path.exists():
            with suppress(ElboError):
                self._listener, self._path = runtime_dir.claim(self.id)
                if self._accepting is not None:
                    self._accepting.close()
                self._publish(RunIdAssigned(self.id))
                self._listen(self._listener)
                return
        self._loop.call_later(BIND_SECONDS, self._watch_socket, listener)

    def _client(self, connected: Callable[[Client], bool]) -> Client:
        return Client(connected, self._commanded, self._leave, self._send_all)

    def _is_first(self, client: Client) -> bool:
        self._terminal = client
        return self._hello(client)

    def _is_adopted(self, client: Client) -> bool:
        self._is_first(client)
        self._send_all(client)
        return True

    def _is_welcome(self, client: Client) -> bool:
        if self._closing:
            return False
        while len(self._visitors) >= VISITORS:
            # Those who came first have had the most time to say what they want.
            oldest = next(iter(self._visitors))
            del self._visitors[oldest]
            oldest.transport.abort()
        self._visitors[client] = None
        return self._hello(client)

    def _hello(self, client: Client) -> bool:
        client.put(Hello(protocol.VERSION, os.getpid(), self._options.sends_output))
        return True

    def _commanded(self, client: Client, command: AnyCommand) -> None:
        if client is self._terminal:
            self._take(client, command)
        elif client in self._visitors:
            self._answer(client, command)

    def _take(self, client: Client, command: AnyCommand) -> None:
        """A command of the terminal."""
        if isinstance(command, EndRun) and not self._options.refuses_end:
            self.end()
        seq = client.base + command.seq
        self._idle.newest_command = max(self._idle.newest_command, seq)
        if isinstance(command, (Step, RunUntil, StepInto)):
            self._idle.newest_step = self._idle.newest_command
        self._deliver(msgspec.structs.replace(command, seq=seq))

    def _answer(self, client: Client, command: AnyCommand) -> None:
        """A command of a visitor."""
        match command:
            case ReportStatus():
                client.put(self._surveyed())
            case Attach():
                self._attach(client)
            case EndRun() if not self._options.refuses_end:
                self.end()
            case EndRun():
                client.refuse(self._options.refuses_end)
            case _:
                client.refuse("a command of one that is not the run's terminal")

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
            steps=loaded.steps if loaded else 0,
            memory=memory_held(),
            left=None if self.attached or self._idle.busy else self._idle.left(),
        )

    def _attach(self, client: Client) -> None:
        del self._visitors[client]
        before, self._terminal = self._terminal, client
        if before is not None:
            before.close(TakenOver())
        client.base = self._idle.newest_command
        self._send_all(client)

    def _send_all(self, client: Client) -> None:
        for event in self.on_attach():
            self._state.apply(event)
        client.put_all(self._state.events())

    def _leave(self, client: Client, error: ProtocolError | None) -> None:
        self._visitors.pop(client, None)
        if client is not self._terminal:
            return
        worth_it = self._options.stays and self._path is not None and self._is_worth_it()
        if not (worth_it or self._options.refuses_end):
            if error is not None:
                print(f"elbo-tui: {error}", file=sys.stderr, flush=True)
            # The other thread may be anywhere in the user's code: nothing waits for it.
            self.end()
        self._terminal = None
        self._idle.begin()
        self._watch_idle()
        self._on_left()

    def _is_worth_it(self) -> bool:
        """Whether there is something to go on for: a step that was taken or asked for."""
        level, state = self._state.level, self._state
        if self._options.refuses_end or state.branches:
            return True
        if level is None:
            return self._idle.newest_step > 0
        asked = level.state == "running" or level.seq < self._idle.newest_step
        return level.step > 0 or (asked and level.state != "failed")

    def _watch_idle(self) -> None:
        """End the process once the run has waited for a terminal for long enough."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left = None if self.attached or self._path is None else self._idle.left()
        if left == 0.0:
            self.end()
        if left is not None:
            self._timer = self._loop.call_later(left, self._watch_idle)

    def _clients(self) -> list[Client]:
        return [*self._visitors, *([self._terminal] if self._terminal else [])]
