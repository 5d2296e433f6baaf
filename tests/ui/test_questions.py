"""What is asked for in a line: steps and conditions, settings, filters; and what is no answer."""

from __future__ import annotations

import pytest
from textual.events import Key

from tests.ui.driving import driven
from tui_elbo.client.run_state import Run
from tui_elbo.model.errors import ElboError, UsageError
from tui_elbo.model.tuning import Tuning, parse_tuning
from tui_elbo.protocol import ErrorReported
from tui_elbo.ui.actions.questions import goal


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("lr 0.02", Tuning(lr=0.02)),
        ("lr=1e-3", Tuning(lr=1e-3)),
        ("particles 4, lr 1", Tuning(lr=1.0, particles=4)),
        ("estimator TraceMeanField_ELBO;lr .5", Tuning(lr=0.5, estimator="TraceMeanField_ELBO")),
    ],
)
def test_settings_are_read(text, wanted):
    assert parse_tuning(text) == wanted


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "nothing to change"),
        ("lr", "lr has no value"),
        ("lr -1", "above 0"),
        ("lr 0", "above 0"),
        ("lr nan", "above 0"),
        ("lr inf", "above 0"),
        ("lr 1e9", "at most 1,000"),
        ("lr abc", "lr is a number"),
        ("particles 0", "above 0"),
        ("particles 1.5", "a whole number"),
        ("particles 9999999999", "at most 1,000,000"),
        ("lr 1, lr 2", "given twice"),
        ("momentum 0.9", "is no setting"),
        ("learning 3", "is no setting"),
    ],
)
def test_no_setting(text, what):
    with pytest.raises(UsageError, match=what):
        parse_tuning(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "nothing to run to"),
        ("elbo >", "column 7"),
        ("elbo > > 3", "column 8"),
        ("__import__('os')", "column 1"),
        ("0", "a step is a whole number, at least 1"),
        ("-5", "column"),
    ],
)
def test_no_goal(text, what):
    with pytest.raises(ElboError, match=what):
        goal(text, Run())


async def test_running_until_a_step():
    async with driven("normal") as d:
        await d.ready()
        await d.press("u", "3", "0", "enter")
        await d.until(lambda: d.run.step == 30 and d.run.level.state == "paused")
        await d.shows("step 30 ", "n step")
        await d.press("u", "5", "enter")
        await d.shows("step 5 has been taken: the run stands at 30")
        await d.press("escape")
        await d.shows("n step", "step 30 ")


async def test_a_name_that_there_is_none_of_is_answered_with_the_nearest():
    async with driven("normal", (100, 24)) as d:
        await d.ready()
        await d.press("1", "n")
        await d.until(lambda: d.run.step == 1)
        await d.press("u", *"elbow > 3", "enter")
        await d.shows("elbow", "elbo")
        assert d.run.level.state == "paused"
        assert d.explorer.query_one("#prompt").asking


async def test_a_condition_goes_to_the_engine_and_the_reason_of_the_stop_is_shown():
    async with driven("normal", (100, 24)) as d:
        await d.ready()
        await d.press("n")
        await d.until(lambda: d.run.step == 1)
        await d.press("u", *"step >= 7", "enter")
        await d.shows("stopped at 7: step >= 7")
        assert d.run.step == 7
        await d.press("n")
        await d.until(lambda: d.run.step == 8)
        await d.shows("n step")


async def test_words_are_completed():
    async with driven("normal", (100, 24)) as d:
        await d.ready()
        await d.press("n")
        await d.until(lambda: d.run.step == 1)
        await d.press("u", *"grad", "tab", *" < 9", "enter")
        await d.until(lambda: "stopped" in d.text())
        assert d.run.met.text.startswith("grad_norm < 9")


async def test_settings_change_from_the_next_step_on_and_are_marked():
    async with driven("normal", (120, 24)) as d:
        await d.ready()
        await d.press("5", "n")
        await d.until(lambda: d.run.step == 5)
        await d.press("t", *"lr 0.5", "enter")
        await d.until(lambda: d.run.tunings)
        await d.press("5", "n")
        await d.until(lambda: d.run.step == 10)
        await d.shows("step 10 ", "lr 0.5")
        await d.press("4", "comma")
        await d.shows("look 6 ", "lr 0.5 from here on")
        assert d.explorer.panes._curves["elbo"]._curve.marks == (6,)


async def test_what_the_engine_refuses_is_reported_and_the_run_goes_on():
    async with driven("normal", (100, 24)) as d:
        await d.ready()
        await d.press("5", "n")
        await d.until(lambda: d.run.step == 5)
        await d.press("t", *"particles 13", "enter")
        await d.until(lambda: isinstance(d.run.fault, ErrorReported))
        await d.shows("13 particles do not fit")
        await d.press("n")
        await d.until(lambda: d.run.step == 6 and d.run.fault is None)


async def test_bad_settings_are_answered_at_once_and_may_be_corrected():
    async with driven("normal") as d:
        await d.ready()
        await d.press("t", *"lr -1", "enter")
        await d.shows("lr is to be above 0 and at most 1,000")
        await d.press(*["backspace"] * 2, "2", "enter")
        await d.until(lambda: d.run.tunings)


async def test_a_filter_narrows_the_table_while_it_is_typed():
    async with driven("names", (120, 24)) as d:
        await d.ready()
        await d.press("n")
        await d.shows("step 1 ")
        params = d.explorer.panes.params
        assert params.count() == 6
        await d.press("slash", *"SCALES")
        await d.until(lambda: params.count() == 1)
        await d.press("enter")
        await d.shows("/SCALES 1")
        await d.press("escape")
        await d.until(lambda: params.count() == 6)


async def test_letters_that_are_typed_do_nothing_else():
    async with driven("normal") as d:
        await d.ready()
        await d.press("u", *"nfqR n")
        await d.pilot.pause()
        assert d.run.step == 0
        assert d.explorer.session.connection is not None
        await d.press("escape", "n")
        await d.until(lambda: d.run.step == 1)


async def test_watching_a_parameter_puts_it_first_and_reports_the_engine():
    async with driven("names", (120, 24)) as d:
        await d.ready()
        await d.press("n")
        await d.shows("step 1 ")
        await d.press("w")
        await d.shows("tab to the parameters first")
        params = d.explorer.panes.params
        params.focus()
        await d.press("down", "down", "w")
        await d.until(lambda: params.watched)
        assert params._rows[0].name == params.watched[0] == "d\x1b[31me"
        await d.shows("◆")
        await d.press("w")
        await d.until(lambda: not params.watched)


async def test_one_pane_alone_and_all_of_them_again():
    async with driven("normal") as d:
        await d.ready()
        await d.press("z")
        await d.until(lambda: list(d.explorer.panes.places) == ["elbo"])
        assert "parameters" not in d.text()
        await d.press("z")
        await d.shows("parameters", "log q(z)")
        await d.press("tab", "z")
        await d.until(lambda: len(d.explorer.panes.places) == 1)
        await d.press("escape", "escape")
        await d.shows("parameters", "log q(z)")


async def test_keys_that_come_at_once_are_part_of_the_answer():
    """As a paste or a slow line has them: what is typed is there before the line is."""
    async with driven("normal") as d:
        await d.ready()
        for key in "u12":
            d.app.post_message(Key(key, key))
        await d.press("enter")
        await d.until(lambda: d.run.step == 12 and d.run.level.state == "paused")
