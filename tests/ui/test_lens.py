"""The lens on the screen: the accounts, their spans, the sentence, the gap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.ui.driving import Driven, driven
from tests.ui.fake_numbers import layout, reading
from tui_elbo.client.run_state import WEIGHING, Run
from tui_elbo.model.attribution import SUM_TERMS, AttributionPath, LensPoint, PathShares, Term
from tui_elbo.model.bound import no_bound
from tui_elbo.model.estimate import Moments
from tui_elbo.model.lens_history import LensHistory
from tui_elbo.protocol import ImportanceBoundComputed


async def stepped(d: Driven, count: int) -> None:
    """Take so many steps by hand, and wait until the lens has looked at the last."""
    await d.ready()
    await d.press(*str(count), "n")
    await d.until(lambda: d.run.lens_history.latest(count) is not None)
    await d.until(lambda: d.run.lens_history.latest(count).state == count)
    await d.shows(f"step {count} ", "paused")


def row(d: Driven, name: str) -> list[str]:
    """The numbers of a row of the accounts, from left to right."""
    line = next(line for line in d.lines() if f"│{name} " in line)
    cells = line.split(f"│{name} ")[1].replace("±", " ±").rstrip("│").split()
    return [cell for cell in cells if not cell.startswith("±")]


async def test_the_attribution_since_step_0_are_there_unasked_and_add_up():
    async with driven("normal") as d:
        await stepped(d, 50)
        assert "what moved it ── since step 0" in d.text()
        for name, field in (("log p", "log_p"), ("log q", "log_q"), ("ELBO", "elbo")):
            phi, theta, draw, observed = row(d, name)
            assert theta == "·"
            assert float(phi) + float(draw) == pytest.approx(float(observed), abs=0.0011)
            told = [getattr(d.run.history.record(step), field) for step in (1, 50)]
            assert float(observed) == pytest.approx(told[1] - told[0], abs=0.0006)


async def test_a_turns_the_spans():
    async with driven("normal") as d:
        await stepped(d, 50)
        start = row(d, "log p")
        await d.press("a")
        await d.shows("── the last record", "to 50")
        last = row(d, "log p")
        told = [d.run.history.record(step).log_p for step in (49, 50)]
        assert float(last[-1]) == pytest.approx(told[1] - told[0], abs=0.0006)
        await d.press("a")
        await d.shows("── the newest update", "step 50")
        assert row(d, "log p")[1:] == ["·", "·", "·"], "nothing has been drawn after it"
        await d.press("a")
        await d.shows("── since step 0")
        assert row(d, "log p") == start


async def test_a_mark_and_the_look_cursor_begin_spans_that_add_up():
    async with driven("normal") as d:
        await stepped(d, 50)
        whole = float(row(d, "ELBO")[0])
        await d.press("2", "0", "comma")
        await d.shows("look 30 ")
        await d.until(lambda: float(row(d, "ELBO")[0]) != whole)
        first = float(row(d, "ELBO")[0])
        await d.press("m", "end")
        await d.shows("── since 30 (mark)", "to 50")
        rest = pytest.approx(whole - first, abs=0.0011)
        await d.until(lambda: float(row(d, "ELBO")[0]) == rest)
        await d.press("1", "0", "comma", "a")
        await d.shows("── since 40 (look)", "to 50")
        since_look = float(row(d, "ELBO")[0])
        await d.press("escape", "escape", "a", "a", "a", "a")
        await d.shows("── since 30 (mark)", "to 50")
        await d.until(lambda: 0 < since_look < float(row(d, "ELBO")[0]))
        await d.press("5", "0", "N")
        await d.until(lambda: d.run.step == 0)
        await d.shows("After the first step this line says")
        assert d.explorer.panes.span_choice.mark is None, "the run has been taken back behind it"


async def test_the_sentence_is_always_there_and_follows_the_span():
    async with driven("normal") as d:
        await stepped(d, 50)
        assert "No θ here: log p rose 6.63 nats because φ moved q to where p is high." in d.text()
        await d.press("a", "a")
        await d.shows("── the newest update", "log p rose 0.0")
        await d.press("z")
        await d.shows("log p rose 0.0")


async def test_weights_are_taken_when_asked():
    async with driven("normal") as d:
        await d.press("k")
        await d.shows("there is no step yet: n takes one")
    async with driven("normal", (120, 40)) as d:
        await stepped(d, 5)
        await d.press("k")
        await d.shows("importance-weighted bound: -4.60 ± 0.03 nats", "k̂ 0.45 [0.29, 0.61]")


def test_the_answer_to_k_is_a_line_too_for_screens_without_room_for_its_pane() -> None:
    run = Run()
    run.apply(ImportanceBoundComputed(5, no_bound(9, "too few draws")))
    assert run.notice == "", "nobody has asked"
    run.notice = WEIGHING
    run.apply(ImportanceBoundComputed(5, no_bound(9, "too few draws")))
    assert run.notice == "no importance weights: too few draws"


async def test_without_a_lens_it_says_so():
    async with driven("normal", draws=0) as d:
        await d.ready()
        await d.shows("There is no lens: the run was started with --draws 0; so nothing")
        await d.press("n", "k")
        await d.shows("there is no lens: the run was started with --draws 0")


# What the screen keeps.


def sighting(state: int, path: AttributionPath, *, bad: int = 0) -> LensPoint:
    seen = reading(layout(), state)
    seen = type(seen)(seen.terms, seen.units, seen.draws, bad)
    moved = None if path.base is None else PathShares.of_one("phi", path.base, seen)
    point = path.extend(state, seen, ("phi",), moved=moved)
    return replace(point, latents=1, posterior={"z": Moments(*np.ones((4, 1)))})


def totals(points: LensHistory, last: int) -> list[float]:
    return points.totals("phi", SUM_TERMS[0], last).tolist()


def test_columns_have_each_state_in_its_place() -> None:
    seen, path = LensHistory(), AttributionPath()
    for state in (0, 1, 4):
        seen.add(sighting(state, path))
    values = seen.values(SUM_TERMS[2], 6)
    assert np.isnan(values).tolist() == [False, False, True, True, False, True]
    assert values[4] == seen.latest_usable(5).value[2]
    assert totals(seen, 5)[4] == pytest.approx(values_between(seen, 0, 4))
    seen.forget_after(1)
    assert np.isnan(seen.values(SUM_TERMS[2], 6)[2:]).all()
    assert [one.state for one in seen] == [0, 1]


def values_between(seen: LensHistory, a: int, b: int) -> float:
    values = seen.values(SUM_TERMS[0], b + 1)
    return float(values[b] - values[a])


def test_a_point_takes_the_place_of_those_that_it_does_not_build_upon() -> None:
    seen, path = LensHistory(), AttributionPath()
    for state in (0, 2):
        seen.add(sighting(state, path))
    kept = AttributionPath()
    kept.__dict__.update(path.__dict__)
    for state in (3, 4):
        seen.add(sighting(state, path))
    seen.add(sighting(5, kept))
    assert [one.state for one in seen] == [0, 2, 5]
    assert seen.latest(4).state == 2


def test_a_blind_point_is_a_gap() -> None:
    seen, path = LensHistory(), AttributionPath()
    seen.add(sighting(0, path))
    seen.add(sighting(1, path, bad=3))
    seen.add(sighting(2, path))
    assert [one.unusable for one in seen] == [False, True, False]
    assert seen.latest(1).state == 1
    assert seen.latest_usable(1).state == 0
    assert np.isnan(totals(seen, 3)).tolist() == [False, True, False]


def test_what_is_reported_sites_is_given_up_before_anything_else() -> None:
    seen, path = LensHistory(memory=6000), AttributionPath()
    for state in range(30):
        seen.add(sighting(state, path))
    bare = [one for one in seen if not one.posterior]
    assert 0 < len(bare) < 30
    assert all(len(one.terms) == len(SUM_TERMS) for one in bare)
    assert [one.state for one in seen] == list(range(30))
    newest: LensPoint = seen.latest(29)
    assert Term("z", "log_p") in newest.terms
    assert np.isfinite(totals(seen, 30)).all()
