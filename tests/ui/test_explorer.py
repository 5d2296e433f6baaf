"""The explorer against a fake engine: what is on the screen after which keys."""

from __future__ import annotations

import pytest

from tests.ui.driving import driven


async def test_opens_with_panes_in_place_and_fills_in():
    async with driven("normal") as d:
        assert "log p(x, z)" in d.text()
        await d.ready()
        d.golden("ready_80x24")


async def test_a_step_shows_every_number():
    async with driven("normal") as d:
        await d.ready()
        await d.press("n")
        await d.until(lambda: d.run.step == 1)
        await d.shows("step 1 ")
        d.golden("one_step_80x24")


async def test_a_count_is_shown_while_typed_and_taken_as_steps():
    async with driven("normal") as d:
        await d.ready()
        await d.press("0", "5", "0")
        assert "50 then n" in d.text()
        await d.press("n")
        await d.until(lambda: d.run.step == 50 and d.run.level.state == "paused")
        await d.shows("step 50 ", "paused")
        d.golden("fifty_steps_80x24", curves=True)


async def test_escape_forgets_a_count():
    async with driven("normal") as d:
        await d.ready()
        await d.press("9", "9", "escape", "n")
        await d.until(lambda: d.run.step)
        assert d.run.step == 1


@pytest.mark.parametrize("size", [(60, 18), (120, 40), (200, 50)])
async def test_fills_other_sizes(size):
    async with driven("normal", size) as d:
        await d.ready()
        await d.press("5", "0", "n")
        await d.until(lambda: d.run.step == 50 and d.run.level.state == "paused")
        await d.shows("step 50 ")
        await d.pilot.pause()
        assert max(map(len, d.lines())) <= size[0]
        d.golden("fifty_steps_{}x{}".format(*size))


async def test_ascii_draws_nothing_beyond_ascii():
    async with driven("normal", ascii=True) as d:
        await d.ready()
        await d.press("2", "0", "n")
        await d.until(lambda: d.run.step == 20 and d.run.level.state == "paused")
        await d.shows("step 20 ")
        assert d.text().isascii(), d.text()
        d.golden("ascii_80x24", curves=True)


async def test_a_small_terminal_says_what_is_needed_and_grows_again():
    async with driven("normal", (40, 10)) as d:
        await d.until(lambda: d.run.loaded)
        await d.shows("elbo-tui needs 60 columns and 18 rows;", "this terminal has 40 and 10.")
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
        assert "▶ 830/s" in d.text()
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
        old = d.explorer.session.link.engine.process
        await d.press("R")
        await d.until(lambda: d.explorer.session.link.engine.process is not old)
        assert old.returncode is not None
        await d.ready()


async def test_a_failed_step_says_what_where_and_what_to_do():
    async with driven("fails") as d:
        await d.ready()
        await d.press("9", "n")
        await d.shows(
            "step 7 failed: ValueError",
            "· model.py:12",
            "press R · e shows the traceback",
            "step 6 ",
        )
        d.golden("failed_80x24")
        await d.press("e")
        await d.shows("ValueError: bad ", "The run stands at step 6.")
        await d.press("e")
        await d.shows("log q(z)")


async def test_a_scenario_that_does_not_load():
    async with driven("load_fails") as d:
        await d.shows("the file does not parse · model.py:3", "correct it and press R", "failed")
        await d.press("n")
        assert "R loads the file again" in d.text()


async def test_a_killed_engine_is_told_of_and_the_history_stays():
    async with driven("dies") as d:
        await d.ready()
        await d.press("5", "n")
        await d.shows("the engine was killed (signal 9)", "step 2 ", "ended")
        await d.press("space")
        assert "R starts a fresh engine" in d.text()
        await d.press("R", "y")
        await d.ready()


async def test_ctrl_c_interrupts_a_model_that_hangs():
    async with driven("hangs") as d:
        await d.ready()
        await d.press("5", "n")
        await d.until(lambda: d.run.step == 2 and d.run.output.warnings)
        await d.press("ctrl+c")
        await d.shows("interrupted · model.py:3", "e shows the traceback", "step 2 ")


async def test_a_model_that_ignores_the_interrupt_is_ended(monkeypatch):
    monkeypatch.setattr("tui_elbo.ui.link.PATIENCE", 0.01)
    monkeypatch.setattr("tui_elbo.ui.link.GRACE", 0.01)
    async with driven("stubborn") as d:
        await d.ready()
        await d.press("5", "n")
        await d.until(lambda: d.run.step == 2 and d.run.output.warnings)
        await d.press("ctrl+c")
        await d.shows("did not answer for 0.02 s and was ended", "step 2 ")


async def test_reload_and_quit_while_the_engine_hangs():
    async with driven("stubborn") as d:
        await d.ready()
        await d.press("5", "n")
        await d.until(lambda: d.run.step == 2)
        old = d.explorer.session.link.engine.process
        await d.press("R", "y")
        await d.ready()
        assert old.returncode is not None
        new = d.explorer.session.link.engine.process
        await d.press("q")
    assert new.returncode is not None
    assert d.app.return_code == 0


async def test_ctrl_c_at_rest_changes_nothing_and_never_quits():
    async with driven("normal") as d:
        await d.ready()
        await d.press("ctrl+c", "ctrl+c", "n")
        await d.shows("step 1 ", "paused")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("bad_frame", "a message that does not decode"),
        ("wrong_version", "two installations of elbo-tui are mixed"),
    ],
)
async def test_an_engine_that_speaks_otherwise(behaviour, words):
    async with driven(behaviour, (160, 24)) as d:
        await d.press("n")
        await d.shows(words, "engine ended")


async def test_ten_megabytes_of_prints_leave_the_keys_alone():
    async with driven("prints") as d:
        await d.ready()
        await d.press("n", "1", "2")
        await d.shows("12 then n")
        await d.until(lambda: d.run.step == 1 and "the end" in d.run.output.shown()[-2])
        assert len(d.run.output.lines) <= 5_000
        assert d.run.output.total == 100_003
        await d.press("o")
        await d.shows("the end", "UserWarning: a warning of [bold]Pyro[/]")
        assert "owned" not in d.text()
        await d.press("home")
        await d.shows("earlier lines are not kept)")
        await d.press("o")
        await d.shows("log q(z)")


async def test_names_of_the_users_world_are_data():
    async with driven("names", (120, 24)) as d:
        await d.ready()
        await d.press("n")
        await d.shows("step 1 ", "[red]a", "b\\nc", "d\\x1b[31me", "漢字の名前", "f\\u202eg")
        assert "\x1b" not in d.text()
        d.golden("names_120x24")
        await d.press("i")
        await d.shows("[bold]title[/bold]")


async def test_an_estimator_without_terms_says_why():
    async with driven("jit") as d:
        await d.ready()
        await d.press("5", "n")
        await d.until(lambda: d.run.step == 5)
        await d.shows("No log p and log q:", "JitTrace_ELBO is", "-loss", "· loss ")
        d.golden("jit_80x24")


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
