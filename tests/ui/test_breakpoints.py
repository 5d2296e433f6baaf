"""Breakpoints: added, listed, turned off, stopped at, and rewound to."""

from __future__ import annotations

from msgspec.structs import replace

from tests.ui.driving import Driven, driven
from tui_elbo.protocol import Capabilities


async def add(d: Driven, text: str) -> None:
    await d.press("b")
    await d.shows("break at")
    d.explorer.query_one("#line").value = text
    await d.press("enter")


async def test_a_run_stops_at_a_breakpoint_that_is_on() -> None:
    async with driven("normal") as d:
        await d.ready()
        await add(d, "falls far")
        await d.shows("falls takes a number", "as in falls 3")
        await d.press("escape")
        await add(d, "elbo > 1e6")
        await d.shows("runs stop where elbo > 1e6")
        await d.press("space")
        await d.shows("stopped at 7: elbo > 1e6, said the engine")
        await d.press("B")
        await d.shows("[x] elbo > 1e6", "space: on and off")
        await d.press("space")
        await d.shows("[ ] elbo > 1e6")
        await d.press("escape", "r")
        await d.shows("restart from step 0?")
        await d.press("y")
        await d.shows("paused", "space runs")
        await d.press("space")
        await d.until(lambda: d.run.step > 20)
        await d.press("space", "B", "d")
        await d.shows("There is no breakpoint")


async def test_one_that_holds_at_once_says_so_and_names_are_checked() -> None:
    async with driven("normal") as d:
        await d.ready()
        await d.press("1", "2", "n")
        await d.shows("step 12")
        await add(d, 'params["psi"] > 1')
        await d.shows("did you mean", "phi")
        await d.press("escape")
        await add(d, "step > 4")
        await d.shows("it holds at once: step = 12 > 4")
        await add(d, "step > 4")
        await d.shows("is a breakpoint already")


async def test_backwards_to_the_last_step_where_one_held() -> None:
    async with driven("normal") as d:
        await d.ready()
        await d.press("left_square_bracket")
        await d.shows("no breakpoint is on: b adds one")
        await d.press("3", "0", "n")
        await d.shows("step 30")
        await add(d, "step == 11 or step == 4")
        await d.press("left_square_bracket")
        await d.shows("back at 11: step = 11 == 11", "step 11 ")
        await d.press("left_square_bracket")
        await d.shows("back at 4: step = 4 == 4", "step 4 ")
        await d.press("left_square_bracket")
        await d.shows("no breakpoint holds before step 4")
        assert d.run.step == 4


async def test_those_of_a_terminal_before_are_listed_and_changed() -> None:
    async with driven("left") as d:
        await d.ready()
        assert "a breakpoint is on, set before: B lists them" in d.text()
        await d.press("n")
        await d.shows("step 1 ")
        assert d.explorer.panes.params.watched == ("phi",)
        await d.press("B")
        await d.shows("[x] elbo > 1e6", "[ ] step == 9")
        await d.press("space", "down", "space")
        await d.shows("[ ] elbo > 1e6", "[x] step == 9")
        # What is repeated was asked for before.
        link = d.explorer.session.connection
        await d.until(lambda: link.answered == link.seq)
        assert [point.on for point in d.explorer.session.breakpoints.all] == [False, True]


async def test_a_verdict_can_be_waited_for() -> None:
    async with driven("normal") as d:
        await d.ready()
        await add(d, "verdict fine")
        await d.shows("no verdict", "stationary")
        await d.press("escape")
        await add(d, "verdict rate too high")
        await d.shows("runs stop where verdict rate too high")
        await d.press("escape")
        loaded = d.run.loaded
        assert loaded is not None
        d.run.loaded = replace(loaded, capabilities=Capabilities(lens="there is no lens"))
        await add(d, "verdict stationary")
        await d.shows("no verdict is reached: there is no lens")
        assert len(d.explorer.session.breakpoints.all) == 1
