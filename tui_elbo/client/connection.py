"""One connection to one engine, served from the event loop's own readers, without a thread.

Each turn of the loop reads a bounded piece of a line, so an engine that floods either of them, with
messages or with prints, never holds up a key.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import msgspec

from tui_elbo.client.process import Engine
from tui_elbo.model.errors import ProtocolError
from tui_elbo.protocol import (
    VERSION,
    AnyEvent,
    Attach,
    Command,
    Decoder,
    EndRun,
    EngineBusy,
    Hello,
    Interrupt,
    Pause,
    RunIdAssigned,
    RunStatus,
    TakenOver,
    frame,
)

CHUNK = 1 << 16
"""Bytes read from one line in one turn of the event loop."""

PATIENCE = 0.5
"""Seconds in which an engine that is between two steps answers a pause."""

GRACE = 3.0
"""Seconds in which an interrupted engine answers; then it is ended."""

DEATH = 0.1
"""Seconds between looks whether a script that is watched no more has ended."""

UNWATCHED = "it is watched no more, and goes to its end; ctrl+q ends it"

WATCH = 1.0
"""Seconds between checks whether a process has ended unnoticed by the connection."""


class EngineConnection:
    """One connection to one engine.

    Args:
        engine: what `spawn` gave.
        on_events: called with the messages of each piece read, in their order.
        on_output: called with each piece of what the engine and the model print.
        on_end: called once when the connection is over for whatever reason, with words: how it
            ended, and perhaps on a second line what to do.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        on_events: Callable[[list[AnyEvent]], None],
        on_output: Callable[[bytes], None],
        on_end: Callable[[str], None],
    ) -> None:
        self.engine = engine
        self.seq = 0
        """The number of the last command sent."""
        self.answered = 0
        """The number of the last command that the engine has carried out."""
        self.open = True
        """False once the connection is over; nothing more is sent or comes."""
        self.named = RunIdAssigned("", "no scenario is loaded yet")
        """Under which name the run goes on without us, or why it cannot."""
        self._on_events, self._on_output, self._on_end = on_events, on_output, on_end
        self._decoder: Decoder[AnyEvent] = Decoder(AnyEvent)
        self._unsent = bytearray()
        self._greeted = False
        self._levels = 0
        self._interrupts = 0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(engine.line, self._read_line)
        if engine.output >= 0:
            self._loop.add_reader(engine.output, self._read_output)
        self._watch()

    def send(self, command: Command) -> int:
        """Send the command with the next number, and return that number."""
        self.seq += 1
        self._say(msgspec.structs.replace(command, seq=self.seq))
        return self.seq

    def attach(self) -> None:
        """Become the terminal of a run that is there already."""
        self._say(Attach())

    def detach(self) -> None:
        """Leave the engine running."""
        self._close()
        self.engine.let_go()

    def interrupt(self) -> int:
        """Pause; if the model does not let go, interrupt it; if that is no use, end the engine.

        A second call while the first is unanswered ends the engine at its deadline even if it has
        not yet reported its status.
        """
        seq = self.send(Pause())
        self._interrupts += 1
        if "interrupt" not in self._timers and "kill" not in self._timers:
            self._after(PATIENCE, "interrupt", self._interrupt, seq)
        return seq

    def leave(self) -> None:
        """Ask the engine to end, listen to it no more, and wait for nothing."""
        self._close(ending=True)
        self.engine.ask_to_end()

    def end(self) -> None:
        """End the engine at once, without a call of `on_end`."""
        self._close(ending=True)
        self.engine.end()

    def _say(self, command: Command) -> None:
        if self.open:
            self._unsent += frame(command)
            self._write()

    def _interrupt(self, seq: int) -> None:
        if self.answered >= seq:
            return
        if self._greeted:  # Before, Python has no handler yet, and would only die of it.
            self._say(Interrupt()) if self.engine.attached else self.engine.interrupt()
            self._on_events([EngineBusy("interrupting the model")])
        self._after(GRACE, "kill", self._give_up, seq)

    def _give_up(self, seq: int) -> None:
        if self.answered >= seq:
            return
        # An engine that has sent nothing yet is importing; a slow disk is no reason to end it.
        if self._levels or self._interrupts > 1:
            self._over(f"the engine did not answer for {PATIENCE + GRACE:g} s and was ended")

    def _after(self, seconds: float, name: str, call: Callable[[int], None], seq: int) -> None:
        def fire() -> None:
            del self._timers[name]
            call(seq)

        self._timers[name] = self._loop.call_later(seconds, fire)

    def _watch(self) -> None:
        """Notice an engine that died while a child of its own still holds the socket."""
        if self.engine.gone():
            self._loop.call_soon(self._drain)
        else:
            self._timers["watch"] = self._loop.call_later(WATCH, self._watch)

    def _drain(self) -> None:
        while self.open and self._read_line():
            pass
        if self.open:
            self._over(self.engine.end_text())

    def _write(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self.engine.line.send(self._unsent)]
            self._loop.remove_writer(self.engine.line)
        except BlockingIOError:
            self._loop.add_writer(self.engine.line, self._write)
        except OSError:
            self._unsent.clear()  # The reader finds out why.
            self._loop.remove_writer(self.engine.line)

    def _read_line(self) -> bool:
        """Take in one piece; False if there was none."""
        try:
            data = self.engine.line.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self.engine.line)
            if self.engine.script and self.engine.output >= 0:
                # What it still prints is read by nobody else.
                self._loop.add_reader(self.engine.output, self._read_output)
            self._wait_for_death(20)
            return False
        events: list[AnyEvent] = []
        try:
            for event in self._decoder.feed(data):
                self._check(event)
                events.append(event)
                if isinstance(event, TakenOver):
                    return self._taken_over(events)
        except ProtocolError as error:
            self._on_events(events)
            self._over(f"the engine sent {error.what}" if self._greeted else error.what)
            return False
        if events:
            self._on_events(events)
        return True

    def _check(self, event: AnyEvent) -> None:
        if isinstance(event, Hello):
            if event.version != VERSION:
                raise ProtocolError(
                    f"the engine speaks version {event.version} and this program {VERSION}: "
                    "two installations of elbo-tui are mixed"
                )
            self._greeted = True
            if event.tells_output and self.engine.output >= 0:
                self._loop.remove_reader(self.engine.output)
        elif not self._greeted:
            raise ProtocolError("the engine did not say hello first")
        elif isinstance(event, RunStatus):
            self._levels += 1
            self.answered = max(self.answered, event.seq)
            if self.answered >= self.seq:
                self._interrupts = 0
        elif isinstance(event, RunIdAssigned):
            self.named = event

    def _taken_over(self, events: list[AnyEvent]) -> bool:
        """The run goes on for another terminal."""
        self._on_events(events)
        id = self.named.id
        self.detach()
        self._on_end(
            f"another terminal has taken the run over: `elbo-tui attach {id}` takes it back"
        )
        return False

    def _wait_for_death(self, tries: int) -> None:
        """The connection is closed: give the process a moment to end, and report how it did."""
        if not self.open:
            return
        if not self.engine.gone() and tries:
            call = self._wait_for_death
            self._timers["death"] = self._loop.call_later(0.01, call, tries - 1)
        elif self.engine.script and not self.engine.gone():
            self.named = RunIdAssigned("", UNWATCHED)
            self._on_events([EngineBusy("no more steps are watched: waiting for the script's end")])
            self._timers["death"] = self._loop.call_later(DEATH, self._wait_for_death, 0)
        elif self.named.id and not (self.engine.attached or self.engine.gone()):
            id = self.named.id
            self.detach()
            self._on_end(f"the run goes on elsewhere\n`elbo-tui attach {id}` shows it")
        else:
            self._over(self.engine.end_text())

    def _read_output(self) -> None:
        try:
            data = os.read(self.engine.output, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._on_output(data)
        else:
            self._loop.remove_reader(self.engine.output)

    def _over(self, text: str) -> None:
        self._close(ending=True)
        self._read_output_rest()
        self.engine.end(grace=0)
        self._on_end(text)

    def _read_output_rest(self) -> None:
        """The last output of an ended engine often gives the reason: read a bounded part of it."""
        for _ in range(16 if self.engine.output >= 0 else 0):
            try:
                data = os.read(self.engine.output, CHUNK)
            except OSError:
                return
            if not data:
                return
            self._on_output(data)

    def _close(self, *, ending: bool = False) -> None:
        if ending and self.named.id:
            self._say(EndRun())
        self.open = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if not self.engine.over:
            self._loop.remove_reader(self.engine.line)
            self._loop.remove_writer(self.engine.line)
            if self.engine.output >= 0:
                self._loop.remove_reader(self.engine.output)
