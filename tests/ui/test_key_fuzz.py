"""Keys that arrive together, known and random, mouse included: none of them ends the screen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest
from textual.drivers._writer_thread import WriterThread
from textual.events import Key

from tests.ui.driving import Driven, driven
from tui_elbo.ui.compat.textual import InputDropped, InputReader, _LosableFile
from tui_elbo.ui.keys import BY_KEY
from tui_elbo.ui.views.views import HelpView

SEEDS = range(20)
KEYS = 2_000
CHUNK = 40
"""At most so many keys arrive together."""

NAMED = {
    "enter": "\r",
    "escape": "\x1b[27u",
    "tab": "\t",
    "shift+tab": "\x1b[Z",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "left": "\x1b[D",
    "right": "\x1b[C",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "space": " ",
    "ctrl+c": "\x03",
    "ctrl+p": "\x10",
}
KNOWN = sorted({*NAMED.values(), *(key for key in BY_KEY if len(key) == 1), *"?/[<>,.0"})
LIKELY = ["\x10", "\x1b[6~", "\r", "\x1b[27u", "?", "p", "i", "o", "b", "B", "s", "N", "y"]


def random_keys(seed: int, count: int) -> Iterator[str]:
    """Keys and mouse reports as a terminal sends them."""
    draw = random.Random(seed)
    while count > 0:
        kind = draw.random()
        x, y = draw.randint(1, 80), draw.randint(1, 24)
        if kind < 0.5:
            keys = [draw.choice(KNOWN)]
        elif kind < 0.7:
            keys = [draw.choice(LIKELY)] * draw.randint(1, 2)
        elif kind < 0.8:
            keys = [f"\x1b[<0;{x};{y}M", f"\x1b[<0;{x};{y}m"] * draw.randint(1, 2)
        elif kind < 0.85:
            keys = [f"\x1b[<{draw.choice((35, 32, 64, 65))};{x};{y}M"]
        elif kind < 0.99:
            keys = [draw.choice("éλ漢~\x01\x02\x05\x0b\x1a\x1f") or chr(draw.randint(33, 126))]
        else:
            keys = ["\x11"]
        count -= len(keys)
        yield from keys


def typed(d: Driven, data: str) -> None:
    """All of it arrives in one read."""
    for event in InputReader().read(data.encode(), 0):
        d.app._driver.process_message(event)


async def handled(d: Driven) -> None:
    """All that was typed is handled."""
    for _ in range(5):  # Until then it may still be on its way to the app.
        await asyncio.sleep(0)
    await d.until(lambda: d.app._exit or not d.app.input_waits)


async def fuzz(seed: int, count: int, behaviour: str = "normal") -> None:
    """Raises what the screen raises."""
    draw, keys = random.Random(seed), random_keys(seed, count)
    more = True
    while more:
        target = draw.choice((None, "fake"))
        async with driven(behaviour, target=target) as d:
            while d.app.is_running and not d.app._exit:
                chunk = [key for key, _ in zip(keys, range(draw.randint(1, CHUNK)), strict=False)]
                if not chunk:
                    more = False
                    break
                typed(d, "".join(chunk))
                for _ in range(draw.randint(0, 20)):
                    await asyncio.sleep(0)
                if draw.random() < 0.2:
                    await handled(d)
            await handled(d)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_keys_end_the_screen(seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # Some keys write files.
    await fuzz(seed, KEYS)


@pytest.mark.parametrize(
    "data",
    [
        "\x10\x1b[6~",
        "\x10\r\r\r",
        "?\x10\x10",
        "\x10\x1b[27u\x10\x10",
        "\x10\x1b[<0;1;1M\x1b[<0;1;1m\x1b[<0;1;1M\x1b[<0;1;1m",
        "?\x1b[27u\x1b[27u?q?",
        "nnp\x1b[27up",
    ],
)
async def test_keys_that_arrive_together_are_keys(data):
    async with driven("normal") as d:
        await d.ready()
        typed(d, data)
        await handled(d)
        for _ in range(9):
            typed(d, "\x1b[27u")
            await handled(d)
        typed(d, "?")
        await d.until(lambda: isinstance(d.app.screen, HelpView))


async def test_a_key_behind_one_that_opens_a_view_belongs_to_the_view():
    """Not to the screen below, which `q` would end."""
    async with driven("normal") as d:
        await d.ready()
        typed(d, "iqoqn")
        await d.until(lambda: d.run.step == 1)
        assert d.app.screen is d.explorer


async def test_escape_and_a_key_behind_it_are_two_keys():
    async with driven("normal") as d:
        await d.ready()
        typed(d, "p\x1bn")
        await d.until(lambda: d.run.step == 1)
        assert d.app.screen is d.explorer


async def test_a_paste_that_is_none_is_read_in_part_and_said_so():
    async with driven("normal") as d:
        await d.ready()
        reader, sent = InputReader(), 0
        for _ in range(400):
            for event in reader.read(b"9" * 256, sent - d.app.handled_input):
                d.app._driver.process_message(event)
                sent += 1
        assert sent < 1000
        await d.shows("too much was typed at once")
        typed(d, "\x1b[27un")
        await d.until(lambda: d.run.step > 0)


def keys(pieces: list[bytes]) -> list[str]:
    """The keys that a reader makes of pieces."""
    reader = InputReader()
    events = [event for piece in pieces for event in reader.read(piece, 0)]
    return [event.character for event in events if isinstance(event, Key)]


@pytest.mark.parametrize("text", ["é", "漢", "😀", "aéb"])
def test_half_a_character_waits_for_its_other_half(text):
    whole = text.encode()
    for cut in range(1, len(whole)):
        assert keys([whole[:cut], whole[cut:], b"n"]) == [*text, "n"]


def test_what_is_no_character_ends_nothing():
    assert keys([b"\xc3", b"\xc3", b"\xff", b"n"])[-1] == "n"


def test_after_what_was_not_read_keys_are_keys():
    """Also where it stopped within a character, an escape sequence or a bracketed paste."""
    for begun in (b"\xe6\xbc", b"\x1b[<0;1", b"\x1b[200~pasted"):
        reader = InputReader()
        list(reader.read(begun, 0))
        assert [type(event) for event in reader.read(b"x" * 9, 10_000)] == [InputDropped]
        assert not list(reader.read(b"x" * 9, 10_000))
        assert [event.key for event in reader.read(b"n", 0)] == ["n"]


def test_a_terminal_that_is_gone_holds_nobody_up():
    """Whatever is drawn on it: the thread that writes goes on, and ends when it is to."""

    class Gone:
        def write(self, _text: str) -> None:
            raise OSError(5, "Input/output error")

        flush = write

    lost = []
    writer = WriterThread(_LosableFile(Gone(), lambda: lost.append(1)))
    writer.start()
    for _ in range(200):
        writer.write("x")
    writer.stop()
    assert lost == [1]
