"""The connection to an engine: in order, bounded, and clear about how it ended."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.ui.driving import argv
from tui_elbo.client import connection as link_module
from tui_elbo.client.connection import EngineConnection
from tui_elbo.client.process import spawn
from tui_elbo.protocol import (
    VERSION,
    EngineBusy,
    ErrorReported,
    Hello,
    Load,
    Loaded,
    Pause,
    RunStatus,
    Step,
    StepsRecorded,
    WarningIssued,
)


class Line:
    """A link that keeps what comes."""

    def __init__(self, behaviour: str) -> None:
        self.events, self.output, self.ended = [], b"", []
        self.changed = asyncio.Event()
        self.link = EngineConnection(
            spawn(argv(behaviour)),
            on_events=self._events,
            on_output=self._output,
            on_end=self._end,
        )

    def _events(self, events) -> None:
        self.events += events
        self.changed.set()

    def _output(self, data: bytes) -> None:
        assert len(data) <= link_module.CHUNK
        self.output += data
        self.changed.set()

    def _end(self, text: str) -> None:
        self.ended.append(text)
        self.changed.set()

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition) -> None:
        while not condition():
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 60)


@pytest.fixture
async def line(request):
    line = Line(request.param)
    yield line
    line.link.end()
    assert line.link.engine.process.returncode is not None


of = pytest.mark.parametrize


@of("line", ["normal"], indirect=True)
async def test_events_come_in_order(line):
    line.link.send(Load(target="fake"))
    line.link.send(Step(count=2))
    await line.until(lambda: line.of(StepsRecorded))
    kinds = [type(event) for event in line.events]
    assert kinds[:4] == [Hello, EngineBusy, Loaded, RunStatus]
    await line.until(lambda: line.link.answered == 2)


@of("line", ["dies"], indirect=True)
async def test_a_killed_engine_is_named_with_its_signal(line):
    line.link.send(Load(target="fake"))
    line.link.send(Step(count=9))
    await line.until(lambda: line.ended)
    assert line.ended == ["the engine was killed (signal 9)"]
    assert not line.link.open
    assert line.link.send(Pause()) == 3


@of("line", ["leaves_a_child"], indirect=True)
async def test_an_engine_whose_child_holds_the_socket_is_noticed_too(line):
    line.link.send(Load(target="fake"))
    await line.until(lambda: line.of(Loaded))
    os.kill(line.link.engine.process.pid, signal.SIGKILL)
    await line.until(lambda: line.ended)
    assert line.ended == ["the engine was killed (signal 9)"]


@of("line", ["exits"], indirect=True)
async def test_an_engine_that_exits_is_named_with_its_code_and_last_words(line):
    line.link.send(Load(target="fake"))
    await line.until(lambda: line.ended)
    assert line.ended == ["the engine ended by itself (exit code 3)"]
    assert line.output == b"last words\n"


@of("line", ["wrong_version"], indirect=True)
async def test_another_version_is_an_end_that_says_so(line):
    await line.until(lambda: line.ended)
    assert f"version {VERSION + 1} and this program {VERSION}" in line.ended[0]
    assert not line.of(Hello)


@of("line", ["bad_frame"], indirect=True)
async def test_a_message_that_does_not_decode_is_an_end_that_says_so(line):
    line.link.send(Load(target="fake"))
    line.link.send(Step())
    await line.until(lambda: line.ended)
    assert line.ended[0].startswith("the engine sent a message that does not decode")


@of("line", ["prints"], indirect=True)
async def test_output_comes_in_bounded_pieces_and_whole(line):
    line.link.send(Load(target="fake"))
    line.link.send(Step())
    await line.until(lambda: line.link.answered == 2 and line.output.endswith(b"the end\n"))
    assert line.output.count(b"\n") == 100_002


@of("line", ["hangs"], indirect=True)
async def test_an_interrupt_says_where_it_hung(line, monkeypatch):
    monkeypatch.setattr(link_module, "PATIENCE", 0.01)
    line.link.send(Load(target="fake"))
    line.link.send(Step(count=9))
    await line.until(lambda: line.of(WarningIssued))
    seq = line.link.interrupt()
    await line.until(lambda: line.of(ErrorReported))
    assert line.of(ErrorReported)[0].kind == "interrupted"
    await line.until(lambda: line.link.answered == seq)
    assert not line.ended


@of("line", ["stubborn"], indirect=True)
async def test_an_engine_that_ignores_it_is_ended(line, monkeypatch):
    monkeypatch.setattr(link_module, "PATIENCE", 0.01)
    monkeypatch.setattr(link_module, "GRACE", 0.01)
    line.link.send(Load(target="fake"))
    line.link.send(Step(count=9))
    await line.until(lambda: line.of(WarningIssued))
    line.link.interrupt()
    await line.until(lambda: line.ended)
    assert line.ended == ["the engine did not answer for 0.02 s and was ended"]


@of("line", ["silent"], indirect=True)
async def test_an_engine_that_is_still_importing_is_ended_only_when_asked_twice(line, monkeypatch):
    monkeypatch.setattr(link_module, "PATIENCE", 0.0)
    monkeypatch.setattr(link_module, "GRACE", 0.0)
    line.link.interrupt()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not line.ended
    line.link.interrupt()
    line.link.interrupt()
    await line.until(lambda: line.ended)


async def test_a_program_that_cannot_be_started():
    with pytest.raises(OSError, match="no_such_program"):
        spawn(["/no_such_program"])


@of("line", ["leaves_a_child"], indirect=True)
async def test_ending_takes_everything_the_engine_started_with_it(line):
    await line.until(lambda: line.of(EngineBusy))
    last_words = os.dup(line.link.engine.output)
    line.link.end()
    line.link.engine.end()
    # The pipe ends when nobody is left who could write to it.
    while True:
        try:
            if not os.read(last_words, 100):
                break
        except BlockingIOError:
            await asyncio.sleep(0)
    os.close(last_words)
