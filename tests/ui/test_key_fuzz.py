"""Keys that arrive together, known and random, mouse included: none of them ends the screen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest
from textual._xterm_parser import XTermParser

from tests.ui.driving import Driven, driven
from tui_elbo.ui.keys import BY_KEY

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
    for event in XTermParser().feed(data):
        d.app._driver.process_message(event)


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
                    await asyncio.sleep(0.02)
            await d.until(lambda: d.app._exit or not d.app.input_waits)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_keys_end_the_screen(seed):
    await fuzz(seed, KEYS)
