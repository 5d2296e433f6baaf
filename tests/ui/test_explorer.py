"""The explorer against a fake engine: what is on the screen after which keys."""

from __future__ import annotations

import pytest

from tests.ui.driving import driven


async def test_opens_with_panes_in_place_and_fills_in():
    async with driven("normal") as d:
        await d.shows("log p(x, z)")
        await d.ready()
        await d.shows("After the first step this line says")
        await d.golden("ready_80x24")


async def test_a_step_shows_every_number():
    async with driven("normal") as d:
        await d.ready()
        await d.press("n")
        await d.until(lambda: d.run.step == 1)
        await d.shows("step 1 ")
        await d.golden("one_step_80x24")


async def test_a_count_is_shown_while_typed_and_taken_as_steps():
    async with driven("normal") as d:
        await d.ready()
        await d.press("0", "5", "0")
        assert "50 then n" in d.text()
        await d.press("n")
        await d.until(lambda: d.run.step == 50 and d.run.level.state == "paused")
        await d.shows("step 50 ", "paused")
        await d.golden("fifty_steps_80x24", curves=True)


async def test_escape_forgets_a_count():
    async with driven("normal") as d:
        await d.ready()
        await d.press("9", "9", "escape", "n")
        await d.until(lambda: d.run.step)
        assert d.run.step == 1


LARGE = [pytest.param(size, marks=pytest.mark.slow) for size in ((200, 50), (300, 100))]


@pytest.mark.parametrize("size", [(60, 18), (120, 40), *LARGE])
async def test_fills_other_sizes(size):
    async with driven("normal", size) as d:
        await d.ready()
        await d.press("5", "0", "n")
        await d.until(lambda: d.run.step == 50 and d.run.level.state == "paused")
        await d.shows("step 50 ")
        await d.pilot.pause()
        assert max(map(len, d.lines())) <= size[0]
        await d.golden("fifty_steps_{}x{}".format(*size))


async def test_ascii_draws_nothing_beyond_ascii():
    async with driven("normal", ascii=True) as d:
        await d.ready()
        await d.press("2", "0", "n")
        await d.until(lambda: d.run.step == 20 and d.run.level.state == "paused")
        await d.shows("step 20 ")
        assert d.text().isascii(), d.text()
        await d.golden("ascii_80x24", curves=True)


@pytest.mark.slow
async def test_a_small_terminal_says_what_is_needed_and_grows_again():
    async with driven("normal", (40, 10)) as d:
        await d.until(lambda: d.run.loaded)
        await d.shows("elbo-tui needs 60 columns and 18 rows;", "this terminal has 40 and 10.")
        await d.shows("step 0 ", "paused")
        for size in ((10, 3), (1, 1), (80, 24), (59, 24), (80, 17), (80, 24)) * 3:
            await d.pilot.resize_terminal(*size)
        await d.press("n")
        await d.shows("step 1 ", "paused", "log p(x, z)")


async def test_keys_pressed_before_the_engine_is_ready_are_carried_out():
    async with driven("normal") as d:
        await d.press("n", "n", "f")
        await d.until(lambda: d.run.loaded and d.run.step == d.run.loaded.steps)
        await d.shows("step 200 ", "paused")


async def test_space_runs_and_pauses_by_intent():
    async with driven("normal") as d:
        await d.press("space", "space", "space")
        await d.until(lambda: d.run.step > 20)
        await d.shows("▶ 830/s")
        await d.press("space")
        await d.until(lambda: d.run.level.state == "paused")
        await d.shows("paused")


async def test_n_then_space_runs_on():
    async with driven("normal") as d:
        await d.ready()
        await d.press("n", "space")
        await d.until(lambda: d.run.step > 10)


async def test_finish_at_the_end_says_so():
    async with driven("normal") as d:
        await d.ready()
        await d.press("f")
        await d.until(lambda: d.run.step == 200 and d.run.level.state == "paused")
        await d.press("f")
        assert "already at step 200 of 200" in d.text()
        await d.press("n")
        await d.until(lambda: d.run.step == 201)


async def test_restart_asks_when_there_are_steps_to_lose():
    async with driven("normal") as d:
        await d.ready()
        await d.press("3", "n")
        await d.until(lambda: d.run.step == 3)
        await d.press("r")
        await d.shows("restart from step 0? 3 steps will be lost")
        await d.press("n")
        await d.pilot.pause()
        assert d.run.step == 3
        await d.press("r", "y")
        await d.until(lambda: d.run.step == 0)
        await d.ready()


async def test_reload_starts_a_fresh_engine():
    async with driven("normal") as d:
        await d.ready()
        old = d.explorer.session.connection.engine.process
        await d.press("R")
        await d.until(lambda: d.explorer.session.connection.engine.process is not old)
        assert old.returncode is not None
        await d.ready()


async def test_an_estimator_without_terms_says_why():
    async with driven("jit") as d:
        await d.ready()
        await d.press("5", "n")
        await d.until(lambda: d.run.step == 5)
        await d.shows("No log p and log q:", "JitTrace_ELBO is", "-loss", "· loss ")
        await d.golden("jit_80x24")


async def test_notes_and_help_open_and_close():
    async with driven("normal") as d:
        await d.ready()
        for key, words in (
            ("i", "A fake of the forum question"),
            ("question_mark", "take one step"),
        ):
            for close in ("escape", "q", key):
                await d.press(key)
                await d.shows(words)
                await d.press(close)
                await d.shows("log q(z)")


async def test_a_focused_table_takes_the_arrows_and_leaves_the_other_keys():
    async with driven("names") as d:
        await d.ready()
        await d.press("n")
        await d.shows("step 1 ")
        params = d.explorer.query_one("#params")
        params.focus()
        await d.press("down", "down", "n")
        await d.until(lambda: d.run.step == 2)
        assert params.cursor == 2


async def test_no_color(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    async with driven("normal") as d:
        await d.ready()
        await d.press("5", "n", "tab", "tab", "tab", "tab")
        await d.shows("step 5 ", "paused")
        strips = d.app.screen._compositor.render_strips()
        styles = {style for strip in strips for _, style, _ in strip if style}
        colors = {color for style in styles for color in (style.color, style.bgcolor) if color}
        grey = {c for c in colors if c.is_default or len(set(c.triplet or (0, 1))) == 1}
        assert colors == grey


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-light", "nord"])
async def test_themes(theme):
    async with driven("normal") as d:
        d.app.theme = theme
        await d.ready()
        await d.press("5", "n")
        await d.shows("step 5 ", "paused", "log q(z)")
