"""Failures are reported and lose nothing: failed steps, hanging and dying engines, noise."""

from __future__ import annotations

import re

import pytest

from tests.ui.driving import driven
from tui_elbo.ui.style.glyphs import UNICODE
from tui_elbo.ui.views.views import ErrorView
from tui_elbo.ui.widgets.status import FaultTexts, fault_lines, fault_texts


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
        await d.golden("failed_80x24")
        await d.press("e")
        await d.shows("ValueError: bad ", "The run stands at step 6.")
        await d.press("e")
        await d.shows("log q(z)")


async def test_a_long_error_is_shown_whole_at_once_and_once():
    async with driven("fails_at_length") as d:
        await d.ready()
        await d.press("n")
        await d.until(lambda: isinstance(d.app.screen, ErrorView))
        await d.shows("/far/model.py:12", '    w = sample("w", d)', "the run stays at step 0")
        assert re.sub(r"[│\s]+", " ", d.text()).count("fix it so;") == 60
        await d.press("escape")
        place = '/far/model.py:12 · w = sample("w", d)'
        await d.shows("invalid log_prob shape; fix it so", place, "correct the file, then R")
        await d.press("n", "n")
        await d.until(lambda: isinstance(d.app.screen, ErrorView))


async def test_what_takes_a_few_lines_has_them():
    what = "step 1 raised " + "word " * 40
    lines, cut = fault_lines(FaultTexts(what, "model.py:1", "", "do this"), 80, UNICODE)
    assert not cut
    texts = ["".join(text for text, _ in line).rstrip() for line in lines]
    assert " ".join(text.strip() for text in texts[:3]).count("word") == 40
    assert texts[3:] == [" model.py:1", " do this"]


async def test_a_scenario_that_does_not_load():
    async with driven("load_fails") as d:
        await d.shows("the file does not parse · model.py:3", "correct it and press R", "failed")
        assert "Nothing is loaded. Fix the file, then press R." in d.text()
        await d.press("n")
        assert "R loads the file again" in d.text()


async def test_a_killed_engine_is_reported_and_the_history_stays():
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
    monkeypatch.setattr("tui_elbo.client.connection.PATIENCE", 0.01)
    monkeypatch.setattr("tui_elbo.client.connection.GRACE", 0.01)
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
        old = d.explorer.session.connection.engine.process
        await d.press("R", "y")
        await d.ready()
        assert old.returncode is not None
        new = d.explorer.session.connection.engine.process
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


@pytest.mark.slow
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
        await d.golden("names_120x24")
        await d.press("i")
        await d.shows("[bold]title[/bold]")


async def test_the_error_is_said_once_and_a_stale_answer_goes():
    async with driven("fails") as d:
        await d.press("i")
        await d.ready()
        assert "no scenario is loaded" not in d.text()
        await d.press("9", "n")
        await d.shows("step 7 failed")
        await d.press("e")
        await d.shows("The run stands at step 6.")
        assert d.text().count("ValueError") == 1


@pytest.mark.parametrize("watched", [False, True])
def test_of_a_script_that_has_ended_no_reload_is_offered(watched):
    hint = fault_texts(None, "it has ended", UNICODE, watched=watched).hint
    assert ("R reloads" in hint) != watched
