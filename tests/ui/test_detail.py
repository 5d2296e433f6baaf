"""All about one parameter."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ui.driving import driven
from tui_elbo import protocol
from tui_elbo.client.run_state import Run
from tui_elbo.model.records import Column, Layout, ParamInfo
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.views.detail import bars, detail_lines


def text(lines) -> list[str]:
    return ["".join(part for part, _ in line).rstrip() for line in lines]


async def opened(d, *moves: str) -> None:
    await d.ready()
    await d.press("5", "0", "n")
    await d.until(lambda: d.run.step == 50 and d.run.level.state == "paused")
    await d.shows("step 50 ")
    d.explorer.panes.params.focus()
    await d.press(*moves, "enter")
    await d.shows("gradient as the optimiser")


async def test_a_vector_with_the_past_of_each_element():
    async with driven("vectors", (80, 50)) as d:
        await opened(d)
        await d.golden("detail_vector_80x50", curves=True)
        await d.press("escape")
        await d.shows("log q(z)")


async def test_a_tensor_with_mean_sd_and_a_histogram():
    async with driven("vectors", (80, 40)) as d:
        await opened(d, "down")
        await d.golden("detail_tensor_80x40", curves=True)


async def test_stepping_and_looking_go_on_and_every_number_is_that_steps():
    async with driven("vectors", (80, 50)) as d:
        await opened(d)
        await d.press("n")
        await d.shows("after step 51", "step 51, 425 elements")
        await d.press("less_than_sign")
        await d.shows("after step 41")
        values = [line for line in d.lines() if "[0]" in line and "past" not in line]
        # The engine tells of the present alone: of the past there is what was recorded.
        assert "0.712963" in values[0]
        assert values[0].split()[-2] == "·"


async def test_with_ascii_nothing_else_is_drawn():
    async with driven("vectors", (80, 50), ascii=True) as d:
        await opened(d)
        assert d.text().isascii(), d.text()


async def test_the_engine_is_asked_while_it_is_open_and_after_a_fresh_start():
    async with driven("vectors", (80, 50)) as d:
        await opened(d)
        control = d.explorer.session.commands
        assert control._inspected == "locs"
        await d.press("escape")
        await d.until(lambda: control._inspected == "")


@pytest.fixture(name="run")
def run_with_trouble():
    """A parameter with a NaN, and one that has no columns."""
    info = ParamInfo("[red]w\x1b[2J", "both", (2,), "unit_interval")
    columns = [Column("param", info.name, f"value[{i}]") for i in range(2)]
    layout = Layout(1, (), (info, ParamInfo("bare", "none", (5000,), "real")), tuple(columns))
    run = Run()
    run.apply(protocol.LayoutAdded(layout))
    run.apply(protocol.StepsRecorded(layout.id, 1, np.array([[0.1, np.nan], [0.2, 0.3]])))
    return run


@pytest.mark.parametrize("width", [1, 20, 78, 300])
@pytest.mark.parametrize("glyphs", [ASCII, UNICODE])
def test_what_is_not_finite_or_not_known(run, width, glyphs):
    name = run.history.layout.params[0].name
    lines = text(detail_lines(run, name, 2, width, glyphs))
    assert any("nan" in line and line.startswith("[0]") for line in lines)
    assert not any("\x1b" in line for line in lines)
    assert "w watches it" in " ".join(text(detail_lines(run, "bare", 2, width, glyphs)))
    assert text(detail_lines(run, "never", 2, width, glyphs)) == ["Step 2 has no such parameter."]
    assert text(detail_lines(run, name, 0, width, glyphs)) == ["Step 0 has no such parameter."]


def test_bars_are_as_long_as_their_counts():
    found = protocol.Histogram(-1.0, 1.0, (0, 1, 5, 10), 0)
    lengths = [line.count("█") for line in text(bars(found, 60, UNICODE))]
    assert lengths == [0, 2, 10, 20]
