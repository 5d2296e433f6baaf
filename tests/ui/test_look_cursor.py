"""The look cursor: by itself, and in all panes of a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.driving import Driven, driven
from tui_elbo.ui.look_cursor import LookCursor


@given(st.integers(0, 30), st.lists(st.integers(-40, 40)))
def test_stays_within_the_run_and_follows_it_from_its_end(last, moves):
    looking, step = LookCursor(), last
    for by in moves:
        looking.move(by, last)
        step = min(max(step + by, 1), last) if last else 0
        assert looking.step(last) == step
        assert (looking.at is None) == (step == last)
    looking.follow()
    assert looking.step(last + 1) == last + 1


def test_a_run_that_is_rewound_takes_the_look_along():
    looking = LookCursor()
    looking.to(7, 9)
    looking.taken_back(8)
    assert looking.at == 7
    looking.taken_back(7)
    assert looking.at is None


@pytest.fixture(name="names")
def shown_numbers():
    """Every number of the screen that belongs to a step, without the curves."""

    def numbers(d) -> list[str]:
        words = d.text().replace("│", " ").split()
        return [word for word in words if word.lstrip("+-").replace(".", "", 1).isdigit()]

    return numbers


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_every_number_is_that_steps(names, size):
    """At step 20 of 50, the tables and the status show what they showed at step 20."""
    async with driven("normal", size) as d, driven("normal", size) as short:
        for one, count in ((d, "50"), (short, "20")):
            await one.ready()
            await one.press(*count, "n")
            await one.until(lambda one=one, c=int(count): one.run.step == c)
            await one.shows("paused")
        await d.press("3", "0", "comma")
        await d.shows("look 20 ", "of 50")

        def tables(one: Driven) -> list[list[str]]:
            """What the panes show, whatever lies beside them."""
            panes = (one.explorer.query_one(name) for name in ("#params", "#sites"))
            return [[s.text for tile in pane.children for s in tile._lines] for pane in panes]

        await d.until(lambda: tables(d) == tables(short))
        [line] = [line for line in d.lines() if "look 20" in line]
        [other] = [line for line in short.lines() if "step 20 " in line]
        assert line.split("·")[1:4] == other.split("·")[1:4] or line[:70][6:] == other[:70][6:]


async def test_looking_touches_nothing():
    async with driven("normal") as d:
        await d.ready()
        await d.press("3", "0", "n")
        await d.until(lambda: d.run.step == 30)
        sent = d.explorer.session.commands._seq
        for key in ("comma", "less_than_sign", "home", "full_stop", "right", "left", "end"):
            await d.press(key)
        await d.shows("step 30 ")
        assert d.explorer.session.commands._seq == sent


async def test_keys_move_by_one_by_ten_by_a_count_and_to_the_ends():
    async with driven("normal") as d:
        await d.ready()
        await d.press("comma")
        await d.shows("there is no step yet: n takes one")
        await d.press("5", "0", "n")
        await d.until(lambda: d.run.step == 50)
        for keys, step in (
            (("comma",), 49),
            (("less_than_sign",), 39),
            (("2", "less_than_sign"), 19),
            (("7", "left"), 12),
            (("right", "full_stop"), 14),
            (("greater_than_sign",), 24),
            (("home",), 1),
            (("left",), 1),
        ):
            await d.press(*keys)
            await d.shows(f"look {step} ")
        await d.press("end")
        await d.shows("step 50 ")


async def test_escape_and_stepping_look_at_the_newest_again():
    async with driven("normal") as d:
        await d.ready()
        await d.press("9", "n")
        await d.until(lambda: d.run.step == 9)
        await d.press("comma")
        await d.shows("look 8 ")
        await d.press("escape")
        await d.shows("step 9 ")
        await d.press("comma", "n")
        await d.shows("step 10 ")


async def test_enter_takes_the_run_there():
    async with driven("normal") as d:
        await d.ready()
        await d.press("9", "n")
        await d.until(lambda: d.run.step == 9)
        await d.press("enter")
        await d.shows("look at an earlier step first")
        await d.press("3", "comma")
        await d.shows("look 6 ")
        await d.press("enter")
        await d.until(lambda: d.run.step == 6)
        await d.shows("step 6 ")


@pytest.mark.slow
async def test_looking_at_the_past_while_it_runs():
    async with driven("normal") as d:
        await d.ready()
        await d.press("space")
        await d.until(lambda: d.run.step > 20)
        await d.press("home")
        await d.shows("look 1 ")
        before = d.run.step
        await d.until(lambda: d.run.step > before + 20)
        await d.shows("look 1 ", "▶")
