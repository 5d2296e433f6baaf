"""A run is ended or detached from, after a question where one is needed."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.ui.driving import driven
from tui_elbo.protocol import RunIdAssigned, RunSaved
from tui_elbo.ui import palette
from tui_elbo.ui.actions import leave


async def test_q_quits_at_once_when_nothing_is_lost():
    async with driven("normal") as d:
        await d.ready()
        await d.press("3", "n")
        await d.shows("step 3 ", "paused")
        await d.press("q")
        await d.until(lambda: d.app._exit)
        assert d.app.return_code == 0


@pytest.mark.slow
async def test_q_asks_while_it_runs():
    async with driven("normal") as d:
        await d.ready()
        await d.press("space")
        await d.until(lambda: d.run.step > 0)
        await d.press("q")
        await d.shows("quit? it is running")
        assert "leaves it going" not in d.text()
        await d.press("n")
        assert not d.app._exit
        await d.press("q", "y")
        await d.until(lambda: d.app._exit)


@pytest.mark.parametrize("size", [(60, 18), (80, 24)])
async def test_the_question_names_its_keys_and_says_so_of_others(size):
    async with driven("long", size) as d:
        await d.ready()
        await d.press(*"150", "n")
        await d.until(lambda: d.run.step == 150 and not d.explorer.session.commands.running)
        d.explorer.session.connection.named = RunIdAssigned("fake")
        await d.press("q")
        await d.shows("quit? 150 steps are not exported (x)", "y yes  n no  d leave it going")
        await d.press("x")
        await d.shows("quit? 150 steps", "x is no choice: y yes  n no  d leave it going")
        await d.press("f2")
        await d.shows("f2 is no choice: y yes")
        await d.press("n")
        await d.until(lambda: "quit?" not in d.text())
        assert d.run.step == 150
        await d.press("q", "d")
        await d.until(lambda: d.app._exit)
        assert "waits at step 150" in d.explorer.session.options.farewells[0]
        engine = d.explorer.session.connection.engine.process
    engine.wait(30)


async def test_q_asks_when_long_work_is_not_exported(monkeypatch):
    monkeypatch.setattr(leave, "LONG", -1.0)
    async with driven("normal") as d:
        await d.ready()
        await d.press("3", "n")
        await d.shows("step 3 ", "paused")
        await d.press("q")
        await d.shows("minutes of stepping are not exported (x)")
        await d.press("n")
        d.explorer.exported = 3
        await d.press("q")
        await d.until(lambda: d.app._exit)


async def test_d_says_why_a_run_cannot_be_left():
    async with driven("normal") as d:
        await d.ready()
        await d.press("d")
        assert "it cannot be left going: no scenario is loaded yet" in d.text()
        d.explorer.session.connection.named = RunIdAssigned(
            "", "the folder for live runs is no folder"
        )
        await d.press("d")
        assert "it cannot be left going: the folder for live runs is no folder" in d.text()
        d.explorer.session.connection.engine.script = True
        d.explorer.session.run.dead = "the script has ended with exit code 0"
        await d.press("d")
        assert "there is nothing to leave going: the script has ended" in d.text()
        assert not d.app._exit


async def test_d_leaves_the_engine_alive():
    async with driven("normal") as d:
        await d.ready()
        link = d.explorer.session.connection
        link.named = RunIdAssigned("fake")
        process = link.engine.process
        await d.press("d")
        assert "nothing to leave going: it has not taken a step" in d.text()
        await d.press("3", "n")
        await d.shows("step 3 ", "paused")
        await d.press("d")
        await d.until(lambda: d.app._exit)
        assert d.explorer.session.options.farewells == [
            "elbo-tui: fake waits at step 3; `elbo-tui attach fake` shows it again, "
            "`elbo-tui end fake` ends it"
        ]
        assert not link.open
        assert link.engine.over
    # The fake has nobody to go on for: it ends by itself, and nobody has killed it.
    assert process.wait(30) == 0


async def test_q_asks_of_a_saved_run_that_has_been_taken_back_only_what_is_new():
    async with driven("long") as d:
        await d.ready()
        await d.press(*"300", "n")
        await d.until(lambda: d.run.step == 300 and not d.explorer.session.commands.running)
        d.run.apply(RunSaved("x.run", 300))
        await d.press(*"150", "N")
        await d.until(lambda: d.run.step == 150)
        assert leave._lost(d.explorer) == ""
        await d.press(*"120", "n")
        await d.until(lambda: d.run.step == 270 and not d.explorer.session.commands.running)
        await d.press("q")
        await d.shows("quit? 120 steps are not exported (x)")


async def test_q_asks_before_many_steps_are_lost():
    async with driven("long") as d:
        await d.ready()
        await d.press(*"150", "n")
        await d.shows("step 150 ", "paused")
        await d.press("q")
        await d.shows("quit? 150 steps are not exported (x)")
        await d.press("n")
        d.run.apply(RunSaved("x.run", 150))
        await d.press("q")
        await d.until(lambda: d.app._exit)
        assert d.explorer.session.options.farewells == []


@pytest.mark.parametrize("way", ["ctrl+q", "palette", "crash"])
async def test_whichever_way_one_leaves_what_goes_on_is_said(way):
    """Also from a view that lies over the run."""
    options: list[str] = []
    with suppress(ZeroDivisionError):
        async with driven("normal", farewells=options) as d:
            await d.ready()
            engine = d.explorer.session.connection.engine.process
            d.explorer.session.connection.named = RunIdAssigned("fake")
            await d.press("space", "i")
            await d.until(lambda: d.run.step > 0)
            match way:
                case "palette":
                    commands = {c.title: c.callback for c in palette.commands(d.app, d.app.screen)}
                    d.app.call_later(commands["quit"])
                case "crash":
                    d.app.call_later(lambda: 1 / 0)
                case _:
                    await d.press(way)
            await d.until(lambda: d.app._exit or d.app._exception)
    assert options == [
        "elbo-tui: fake goes on; `elbo-tui attach fake` shows it again, `elbo-tui end fake` ends it"
    ]
    engine.wait(30)


async def test_back_to_the_gallery_ends_the_run_as_it_says():
    async with driven("normal", target=None) as d:
        await d.press("enter")
        await d.until(lambda: len(d.app.screen_stack) == 2)
        await d.ready()
        session, engine = d.explorer.session, d.explorer.session.connection.engine.process
        session.connection.named = RunIdAssigned("fake")
        await d.press("n")
        await d.until(lambda: d.run.step == 1)
        await d.press("escape")
        await d.shows("back to the gallery? 1 step will be lost")
        await d.press("y")
        await d.until(lambda: len(d.app.screen_stack) == 1)
        assert session.options.farewells == []
    engine.wait(30)


async def test_a_scripts_own_loop_is_held_and_left_and_nothing_else():
    async with driven("script") as d:
        await d.ready()
        await d.press("4", "n")
        await d.shows("step 4 ", "since step 0", "because φ moved q")
        for key in ("N", "f", "t", "s", "r", "R", "left_square_bracket", "g", "G"):
            await d.press("escape", key)
            assert "a script's own loop cannot" in d.text()
        await d.press("comma", "enter")
        assert "a script's own loop cannot rewind" in d.text()
        await d.press("escape", "escape")
        assert d.run.step == 4
        process = d.explorer.session.connection.engine.process
        await d.press("escape", "q")
        await d.until(lambda: d.app._exit)
        assert d.explorer.session.connection.engine.over
    assert process.wait(30) == 0
