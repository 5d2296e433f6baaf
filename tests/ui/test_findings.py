"""An error or a warning stands in the place of the sentence; `F` lists all, and dismisses them."""

from __future__ import annotations

import pytest

from tests.ui.driving import driven
from tui_elbo.model.findings import Finding, Subject
from tui_elbo.protocol import FindingsChanged
from tui_elbo.ui.panes.sentence import finding_lines
from tui_elbo.ui.style.glyphs import UNICODE


async def test_a_warning_stands_where_the_sentence_stands_until_it_is_dismissed() -> None:
    async with driven("faulty") as it:
        await it.shows('warning SVI110: "phi" never moves', "Look between the parameter", "paused")
        await it.press("5", "n")
        await it.shows("step 5", "warning SVI110")
        assert "log p" in it.text()
        assert "No θ here" not in it.text()
        await it.press("F")
        await it.shows("evidence", "none at 20 of 20 steps", "why", "no data", "not checked")
        await it.press("d")
        await it.shows("dismissed SVI110")
        await it.press("escape")
        await it.until(lambda: "warning SVI110" not in it.text() and "step 5" in it.text())
        await it.press("F", "down", "d", "F")
        await it.shows("warning SVI110", "step 5")


async def test_the_view_says_what_silence_rests_on() -> None:
    async with driven("normal") as it:
        await it.ready()
        await it.press("F")
        await it.shows("Nothing has been found", "not run for the rules yet", "not judged yet")
        run = it.run
        run.apply(FindingsChanged((), examined=0))
        await it.press("F", "F")
        await it.shows("run for the rules before step 1")
        run.apply(FindingsChanged((), examined=400))
        await it.press("F", "F")
        await it.shows("run for the rules at step 400", "nothing to read before step 1")
        await it.press("escape", "5", "n", "F")
        await it.shows("read up to step 5")


async def test_enter_leads_to_the_step_and_the_parameter() -> None:
    async with driven("faulty") as it:
        await it.shows("warning SVI110", "paused")
        await it.press("5", "n")
        await it.shows("step 5")
        await it.press("F", "enter")
        await it.shows("phi", "gradient")
        await it.press("escape")
        await it.shows("look 2")
        row = next(line for line in it.lines() if "phi" in line and "!" in line)
        assert "!phi" in row


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_what_is_wrong_comes_first_and_what_to_do_last(rows: int) -> None:
    found = Finding(
        *("SVI999", "long", "error", Subject("site", "z"), "wrong " * 30, "mend " * 30),
    )
    lines = ["".join(text for text, _ in line) for line in finding_lines(found, 80, rows, UNICODE)]
    assert len(lines) == rows
    assert lines[0].startswith(" error SVI999: wrong")
    assert rows == 1 or lines[-1].startswith((" Mend", " mend"))


def test_code_at_the_beginning_of_a_remedy_keeps_its_letters() -> None:
    found = Finding("SVI999", "n", "error", Subject("site", "z"), "wrong", "pyro.param(1) mends it")
    assert "pyro.param(1)" in finding_lines(found, 80, 2, UNICODE)[1][0][0]
