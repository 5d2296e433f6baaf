"""The README's picture: the screen after 400 steps of `no_theta`, from what the engine once told.

    python -m tests.terminal.picture

records the engine anew and draws the picture anew. The recording is kept so that the picture is
the same on every machine; a test compares its numbers with what the engine tells today.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import msgspec

from tests.ui.driving import plain_svg, refit
from tui_elbo import protocol
from tui_elbo.client.session import Options
from tui_elbo.protocol import (
    AnyEvent,
    Decoder,
    Event,
    Hello,
    LensPointAdded,
    Load,
    Loaded,
    RunStatus,
    Step,
    VerdictReached,
    WarningIssued,
)
from tui_elbo.ui.app import ElboApp
from tui_elbo.ui.explorer import Explorer

HERE = Path(__file__).parent
RECORDING, PICTURE = HERE / "no_theta.frames", HERE / "screen.svg"
STEPS, EVERY, SIZE = 400, 10, (100, 30)


def recorded() -> list[Event]:
    """What the engine tells of the first 400 steps, now; of the lens each tenth point."""
    ours, theirs = socket.socketpair()
    argv = [sys.executable, "-P", "-m", "tui_elbo.engine", str(theirs.fileno())]
    with subprocess.Popen(argv, pass_fds=[theirs.fileno()]), ours:
        theirs.close()
        decoder: Decoder[AnyEvent] = Decoder(AnyEvent)
        events: list[Event] = []
        ours.sendall(protocol.frame(Load(seq=1, target="no_theta")))
        for step in range(EVERY, STEPS + 1, EVERY):
            ours.sendall(protocol.frame(Step(seq=2, count=EVERY)))
            while not any(
                isinstance(one, LensPointAdded) and one.point.state == step for one in events
            ):
                events += decoder.feed(ours.recv(65536))
        while not any(_judges(one, STEPS) for one in events):
            events += decoder.feed(ours.recv(65536))
        return [_anywhere(one) for one in events if _kept(one)]


def _kept(event: Event) -> bool:
    if isinstance(event, LensPointAdded):
        return event.point.state % EVERY == 0 or event.point.state == STEPS - 1
    if isinstance(event, VerdictReached):
        return _judges(event, STEPS)
    return not isinstance(event, WarningIssued)


def _judges(event: Event, step: int) -> bool:
    return isinstance(event, VerdictReached) and event.verdict.step == step


def _anywhere(event: Event) -> Event:
    """The event without what differs from one machine or run to the next."""
    if isinstance(event, Hello):
        return msgspec.structs.replace(event, pid=0)
    if isinstance(event, Loaded):
        return msgspec.structs.replace(event, path="no_theta.py")
    if isinstance(event, RunStatus):
        return msgspec.structs.replace(event, rate=0.0)
    return event


def replay(descriptor: int) -> None:
    """Be an engine that tells the recording, and ends when the screen does."""
    with socket.socket(fileno=descriptor) as line:
        line.sendall(RECORDING.read_bytes())
        while line.recv(65536):
            pass


async def drawn() -> str:
    """The screen with the recording, as SVG."""
    argv = [sys.executable, "-m", "tests.terminal.picture"]
    app = ElboApp("no_theta", Options(argv=argv))
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(2000):
            await pilot.pause(0.01)
            (explorer,) = [screen for screen in app.screen_stack if isinstance(screen, Explorer)]
            if explorer.session.run.step == STEPS and explorer.session.run.verdict is not None:
                break
        picture, before = "", "-"
        while picture != before:  # Curves and tables are drawn at a pace of their own.
            await pilot.pause(0.5)
            refit(explorer)
            before, picture = picture, app.export_screenshot(title="elbo-tui no_theta")
        return plain_svg(picture)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        replay(int(sys.argv[1]))
    else:
        RECORDING.write_bytes(b"".join(protocol.frame(event) for event in recorded()))
        PICTURE.write_text(asyncio.run(drawn()), encoding="utf-8")
