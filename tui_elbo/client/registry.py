"""The live runs, asked from outside: which there are, how they stand, and to end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tui_elbo.model.errors import ProtocolError, UsageError
from tui_elbo.protocol import (
    VERSION,
    AnyEvent,
    Command,
    Decoder,
    EndRun,
    Hello,
    ReportStatus,
    StatusReported,
    frame,
    runtime_dir,
)

PATIENCE = 5.0
"""Seconds in which a live run answers, even while its model keeps it busy."""

START = "`elbo-tui SCENARIO` starts a run, and `d` in it leaves it going"


@dataclass(frozen=True)
class Found:
    """A live run, as far as it can be asked."""

    id: str
    status: StatusReported | None
    """None if it cannot be asked."""
    why: str = ""
    """Why it cannot, in words."""


class Call:
    """A connection to a run, for a question or two.

    Args:
        path: of its socket.

    Raises:
        UsageError: if it is ending, does not answer, or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self.id = path.stem
        self._stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stream.settimeout(PATIENCE)
        self._decoder: Decoder[AnyEvent] = Decoder(AnyEvent)
        self._coming: Iterator[AnyEvent] = iter(())
        try:
            self._stream.connect(str(path))
            hello = self.next()
            self._check(hello)
        except OSError as error:
            self.close()
            raise UsageError("it is ending", where=self.id) from error
        except UsageError:
            self.close()
            raise

    def ask(self, command: Command) -> AnyEvent:
        """What the run says to this.

        Raises:
            UsageError: if it says nothing.
        """
        self.say(command)
        return self.next()

    def say(self, command: Command) -> None:
        """Send it."""
        try:
            self._stream.sendall(frame(command))
        except OSError as error:
            raise UsageError("it is ending", where=self.id) from error

    def next(self) -> AnyEvent:
        """The next event.

        Raises:
            UsageError: if there is none.
        """
        while True:
            try:
                for event in self._coming:
                    return event
                data = self._stream.recv(65536)
            except TimeoutError as error:
                raise UsageError("it does not answer", where=self.id) from error
            except ProtocolError as error:
                raise UsageError(f"it sent {error.what}", where=self.id) from error
            except OSError:
                data = b""
            if not data:
                raise UsageError("it is ending", where=self.id)
            self._coming = self._decoder.feed(data)

    def ended(self) -> None:
        """Wait until the run has closed its connections.

        Raises:
            UsageError: if it does not.
        """
        try:
            while self._stream.recv(65536):
                pass
        except TimeoutError as error:
            raise UsageError("it does not end", where=self.id) from error
        except OSError:
            pass

    def close(self) -> None:
        """Hang up."""
        self._stream.close()

    def _check(self, hello: AnyEvent) -> None:
        if not isinstance(hello, Hello):
            raise UsageError("it did not say hello first", where=self.id)
        if hello.version != VERSION:
            raise UsageError(
                f"it speaks version {hello.version} and this program {VERSION}",
                where=self.id,
                hint=f"use the elbo-tui that started it, or end it by `kill {hello.pid}`",
            )


@contextmanager
def called(path: Path) -> Iterator[Call]:
    """A connection to the run at this socket."""
    call = Call(path)
    try:
        yield call
    finally:
        call.close()


def runs() -> list[Found]:
    """Every live run, by id.

    Raises:
        UsageError: if there can be none, for want of a folder.
    """
    return [look(path) for path in runtime_dir.socket_paths()]


def others() -> str:
    """Which runs are alive, in one line; empty for none."""
    try:
        ids = [path.stem for path in runtime_dir.socket_paths()]
    except (UsageError, OSError):
        return ""
    if not ids:
        return ""
    what = (
        f"another run is alive: {ids[0]}" if len(ids) == 1 else f"{len(ids)} other runs are alive"
    )
    return f"{what}; `elbo-tui runs` lists them, `elbo-tui end` ends them"


def look(path: Path) -> Found:
    """How the run at this socket stands."""
    try:
        with called(path) as call:
            answer = call.ask(ReportStatus())
    except UsageError as error:
        return Found(path.stem, None, error.what)
    if isinstance(answer, StatusReported):
        return Found(path.stem, answer)
    return Found(path.stem, None, "it answered something else")


def choose(id: str | None) -> Path:
    """The socket of the run that is meant; the only one if none is named.

    Raises:
        UsageError: if there is no such run, or several could be meant.
    """
    paths = {path.stem: path for path in runtime_dir.socket_paths()}
    if id is not None:
        if id in paths:
            return paths[id]
        close = get_close_matches(id, paths, n=1, cutoff=0.5)
        known = f"there is {', '.join(paths)}" if paths else START
        hint = f"did you mean {close[0]}?" if close else known
        for run in runtime_dir.ended():
            if run.id == id:
                raise UsageError(run.text, where=id, hint="a script's numbers end with it")
        raise UsageError("there is no live run of this name", where=id, hint=hint)
    if not paths:
        over = [f"{run.id}: {run.text}" for run in runtime_dir.ended()[:1]]
        raise UsageError("; ".join(["there is no live run", *over]), hint=START)
    if len(paths) > 1:
        hint = f"name one: {', '.join(paths)} (`elbo-tui runs` tells how they stand)"
        raise UsageError(f"there are {len(paths)} live runs", hint=hint)
    return next(iter(paths.values()))


def end(path: Path) -> None:
    """End the run at this socket, and wait until it has ended.

    Raises:
        UsageError: if it cannot be ended so.
    """
    with called(path) as call:
        answer = call.ask(ReportStatus())
        if isinstance(answer, StatusReported) and answer.watched:
            what = f"it belongs to a script, process {answer.pid}, which runs on"
            hint = f"ctrl+c where it runs ends the script, or `kill {answer.pid}`"
            raise UsageError(what, where=path.stem, hint=hint)
        call.say(EndRun())
        call.ended()
