"""The server without an engine behind it: who is told what, and what happens to odd visitors."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from tests.engine.client import ClosedError, Speaker, history, visitor
from tests.runtime import runtime_folder
from tui_elbo import protocol
from tui_elbo.client import registry
from tui_elbo.engine.server import client, server
from tui_elbo.engine.server.server import VISITORS, Server, ServerOptions
from tui_elbo.engine.server.stdout_capture import MOST_WAITING, StdoutCapture
from tui_elbo.model.records import Column, Layout
from tui_elbo.protocol import (
    AnyCommand,
    Attach,
    EndRun,
    ErrorReported,
    LayoutAdded,
    Load,
    Loaded,
    Pause,
    Rewound,
    RunStatus,
    RunUntil,
    StatusReported,
    Step,
    runtime_dir,
)

COLUMNS = tuple(Column("step", "", name) for name in ("loss", "elbo", "log_p", "log_q"))
LAYOUTS = (Layout(0, (), (), COLUMNS), Layout(1, (), (), COLUMNS[:2]))
LOADED = Loaded("fake", "fake.py", "", "", 0, 100, "Trace_ELBO", "Adam", {})


class Hosted:
    """A server in this process, and what is done in it."""

    def __init__(self) -> None:
        self.commands: SimpleQueue[AnyCommand | str] = SimpleQueue()
        options = ServerOptions(stays=True, refuses_end="not here")
        self.server = Server(self.commands.put, options, lambda: self.commands.put("left"))
        self.step = 0
        self.server.open("fake")
        self.server.start()
        self.server.send(LOADED)

    @property
    def path(self) -> Path:
        return runtime_dir.path_of(self.server.id)

    def rows(self, count: int, layout: Layout = LAYOUTS[0]) -> None:
        """So many more steps, whose numbers are their own."""
        first = self.step + 1
        self.step += count
        at = np.arange(first, self.step + 1, dtype=np.float64)
        values = np.stack([at + row / 8 for row in range(len(layout.columns))])
        self.server.send(LayoutAdded(layout))
        self.server.send(protocol.StepsRecorded(layout.id, first, values))
        self.level()

    def level(self, seq: int = 0) -> None:
        self.server.send(RunStatus("paused", self.step, None, 0.0, seq))

    def back(self, step: int) -> None:
        self.step = step
        self.server.send(Rewound(step))
        self.level()


@pytest.fixture
def hosted() -> Iterator[Hosted]:
    with runtime_folder():
        hosted = Hosted()
        yield hosted
        hosted.server.close()


def told(speaker: Speaker, step: int) -> None:
    """Listen until it is told that the run stands there, and compare all its numbers."""
    speaker.until(RunStatus, lambda level: level.step == step)
    seen = history(speaker.seen)
    assert seen.last == step
    for row, column in enumerate(COLUMNS[:2]):
        assert seen.values(column).tolist() == [at + row / 8 for at in range(1, step + 1)]


def test_history_comes_in_messages_of_a_bounded_size(hosted: Hosted) -> None:
    hosted.rows(100_000)
    hosted.rows(3, LAYOUTS[1])
    hosted.rows(5)
    with visitor(hosted.path) as terminal:
        terminal.send(Attach())
        told(terminal, 100_008)
        assert max(len(batch.values.tobytes()) for batch in terminal.batches) <= 2**20
        assert [batch.layout.id for batch in terminal.batches][-3:] == [0, 1, 0]
        hosted.rows(2)
        told(terminal, 100_010)


def test_a_terminal_that_does_not_read_gets_everything_again(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "SEND_BUFFER", 2**19)
    with visitor(hosted.path) as terminal:
        terminal.send(Attach())
        terminal.until(Loaded)
        for _ in range(400):
            hosted.rows(100)
        hosted.back(39_000)
        hosted.rows(1)
        told(terminal, 39_001)
        assert sum(isinstance(event, Loaded) for event in terminal.seen) > 1


def test_a_run_rewound_while_its_history_is_sent(hosted: Hosted) -> None:
    """What is told late is what holds now; what has changed meanwhile comes after it."""
    hosted.rows(400_000)
    with visitor(hosted.path) as terminal:
        terminal.send(Attach())
        terminal.until(LayoutAdded)
        hosted.back(7)
        hosted.rows(13)
        told(terminal, 20)


def test_levels_repeat_numbers_that_the_terminal_knows(hosted: Hosted) -> None:
    with visitor(hosted.path) as first:
        first.send(Attach())
        assert first.until(Loaded)
        numbers = [first.send(Step()) for _ in range(5)]
        inside = [hosted.commands.get(timeout=30).seq for _ in numbers]  # type: ignore[union-attr]
        hosted.level(inside[-1])
        assert first.until(RunStatus, lambda level: level.seq == numbers[-1])
    assert hosted.commands.get(timeout=30) == "left"
    with visitor(hosted.path) as second:
        second.send(Attach())
        assert second.until(RunStatus).seq == 0
        asked = second.send(Pause())
        command = hosted.commands.get(timeout=30)
        assert isinstance(command, Pause)
        assert command.seq > inside[-1]
        hosted.level(command.seq)
        assert second.until(RunStatus, lambda level: level.seq > 0).seq == asked


def test_the_oldest_of_too_many_clients_are_turned_away(hosted: Hosted) -> None:
    with ExitStack() as stack:
        lines = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(VISITORS + 5)]
        said = []
        for one in lines:
            one.settimeout(30)
            one.connect(str(hosted.path))
            said.append(bool(one.recv(100)))
        assert said == [True] * (VISITORS + 5)
        # However many are idle, whoever asks is answered.
        assert known(hosted.path)
        for one in lines[:6]:
            while one.recv(100):
                pass


def known(path: Path) -> bool:
    found = registry.look(path)
    return found.status is not None


def test_a_socket_that_was_removed_is_bound_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd removes all of XDG_RUNTIME_DIR at the last logout: then in the other place."""
    monkeypatch.setattr(server, "BIND_SECONDS", 0.02)
    with runtime_folder() as folder:
        given = folder / "run"
        given.mkdir()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(given))
        hosted = Hosted()
        assert known(hosted.path)
        shutil.rmtree(given)
        while not (found := [path for path in runtime_dir.socket_paths() if known(path)]):
            pass
        # Both places are looked at when the first is there again.
        given.mkdir()
        assert runtime_dir.socket_paths() == found
        assert registry.choose("fake") == found[0]
        listener, other = runtime_dir.claim("fake")
        assert (other.parent.parent, other.stem) == (given, "fake-2")
        listener.close()
        other.unlink()
        hosted.server.close()


def test_the_end_may_be_refused(hosted: Hosted) -> None:
    with visitor(hosted.path) as other:
        other.send(EndRun())
        assert other.until(ErrorReported).what == "not here"


def test_another_user_is_not_let_in(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as one user can tell: the peer's uid is compared with this one."""
    own, path = os.geteuid(), hosted.path
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(30)
        stranger.connect(str(path))
        assert stranger.recv(100) == b""


def test_a_forked_child_holds_none_of_our_sockets(hosted: Hosted) -> None:
    """The terminal sees the end while the child lives on, and nobody listens any more."""
    read, write = os.pipe()
    with visitor(hosted.path) as terminal:
        terminal.send(Attach())
        terminal.until(Loaded)
        path = hosted.path
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        try:
            hosted.server.close()
            with pytest.raises((ClosedError, ConnectionError)):
                terminal.until(StatusReported)
            assert not path.exists()
        finally:
            os.close(write)
            os.close(read)
            assert os.waitpid(child, 0)[1] == 0


VALID = [
    protocol.frame(command)
    for command in (
        Load(target="no_theta", seed=3),
        Step(count=5),
        RunUntil(until=7, condition="elbo > 0"),
        Pause(),
        Attach(seq=2**60),
    )
]


def thrown(rng: random.Random) -> bytes:
    """A frame as it should not be: cut, flipped, of another length, or nothing but noise."""
    data = bytearray(rng.choice(VALID))
    kind = rng.randrange(5)
    if kind == 0:
        body = rng.randbytes(rng.randrange(60))
        return len(body).to_bytes(4, "little") + body
    if kind == 1:
        return rng.randbytes(rng.randrange(1, 40))
    if kind == 2:
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 3:
        del data[rng.randrange(len(data)) :]
    else:
        at = rng.randrange(4, len(data))
        data[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(data)


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_frames_that_nobody_should_send(hosted: Hosted, count: int) -> None:
    """Each is answered with an error or ends its connection; the run is untouched.

    What happens to be a whole command of a visitor is refused too, and becoming the terminal is
    what anyone may do: then the connection's end leaves the run alone again.
    """
    hosted.rows(10)
    rng = random.Random(count)
    for _ in range(count):
        with visitor(hosted.path) as odd:
            odd.send_bytes(thrown(rng))
            odd.finish()
            with pytest.raises(ClosedError):
                odd.until(StatusReported)  # which nobody has asked for
    asked = set()
    while not hosted.commands.empty():
        asked.add(hosted.commands.get())
    assert asked <= {"left"}
    hosted.rows(1)
    with visitor(hosted.path) as terminal:
        terminal.send(Attach())
        told(terminal, 11)


def test_the_end_of_what_is_printed_reaches_a_slow_terminal_too() -> None:
    read, write = os.pipe()
    capture = StdoutCapture(read)
    for number in range(40):
        os.write(write, b"x" * 60_000 + b"\nend of %d\n" % number)
        assert capture.read(MOST_WAITING + 1) == b""
    assert capture.release(MOST_WAITING + 1) == b""
    assert capture.holds
    data = capture.release(0)
    assert data.endswith(b"\nend of 39\n")
    assert b"bytes of output are left out" in data
    assert not capture.holds
    for end in (read, write):
        os.close(end)


async def test_last_words_are_heard_though_nothing_can_be_sent_any_more() -> None:
    """A terminal ends the run and leaves, while the engine has something to send to it."""
    ours, theirs = socket.socketpair()
    heard: list[AnyCommand] = []
    gone = asyncio.Event()
    one = client.Client(
        lambda _: True,
        lambda _, command: heard.append(command),
        lambda *_: gone.set(),
        lambda _: None,
    )
    await asyncio.get_running_loop().create_unix_connection(lambda: one, sock=ours)
    theirs.sendall(protocol.frame(RunUntil(seq=1)) + protocol.frame(EndRun(seq=2)))
    theirs.close()
    one.put(LOADED)
    await gone.wait()
    assert heard == [RunUntil(seq=1), EndRun(seq=2)]
