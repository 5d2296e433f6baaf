"""Shares add up, are exactly zero for players that did not move, and sum along the path."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_elbo.model.attribution import (
    SUM_TERMS,
    AttributionPath,
    Floats,
    LensPoint,
    PathShares,
    Player,
    Term,
    TermSamples,
    attribute_change,
    no_samples,
    observed_terms,
    players_of,
    shapley,
    standard_error,
    subsets,
)
from tui_elbo.model.records import SiteRecord, StepRecord

UNITS = 64
NOISE = np.random.default_rng(1).standard_normal((2, UNITS))
TRIO: tuple[Player, ...] = ("phi", "theta", "both")


def reading(phi: float, theta: float, both: float = 0.0, bad: int = 0) -> TermSamples:
    """log p = φ θ² + both + noise, log q = φ both; the noise grows with φ."""
    prior = phi * theta**2 + both + phi * NOISE[0]
    likelihood = theta * NOISE[1]
    log_p, log_q = prior + likelihood, np.full(UNITS, phi * both)
    units = np.array([log_p, log_q, log_p - log_q, likelihood, prior])
    return TermSamples(SUM_TERMS, units, UNITS, bad)


def corners(
    then: tuple[float, ...], now: tuple[float, ...], players: tuple[Player, ...]
) -> dict[frozenset[Player], TermSamples]:
    places = {player: i for i, player in enumerate(TRIO)}
    found = {}
    for some in subsets(players):
        if 0 < len(some) < len(players):
            found[some] = reading(
                *(
                    n if any(places[p] == i for p in some) else t
                    for i, (t, n) in enumerate(zip(then, now, strict=True))
                )
            )
    return found


def moved(
    then: tuple[float, ...], now: tuple[float, ...], players: tuple[Player, ...]
) -> PathShares:
    """In one piece."""
    every = corners(then, now, players) | {frozenset[Player](): reading(*then)}
    every[frozenset(players)] = reading(*now)
    shares = shapley({some: one.units for some, one in every.items()}, players)
    return PathShares(shares, {player: np.zeros(len(SUM_TERMS)) for player in players})


def by_phi(path: AttributionPath, now: TermSamples) -> PathShares | None:
    assert path.base is not None
    return PathShares.of_one("phi", path.base, now)


def walk(values: list[tuple[float, ...]], players: tuple[Player, ...]) -> list[LensPoint]:
    path, points, then = AttributionPath(), [], values[0]
    for state, now in enumerate(values):
        more = moved(then, now, players) if state else None
        points.append(path.extend(state, reading(*now), players, moved=more))
        then = now
    return points


def test_two_players_have_the_shares_of_the_definition() -> None:
    f = {"00": 1.0, "01": 4.0, "10": 2.5, "11": 9.0}
    table: dict[frozenset[Player], Floats] = {
        frozenset(): np.array(f["00"]),
        frozenset({"phi"}): np.array(f["01"]),
        frozenset({"theta"}): np.array(f["10"]),
        frozenset({"phi", "theta"}): np.array(f["11"]),
    }
    shares = shapley(table, ("phi", "theta"))
    assert shares["phi"] == 0.5 * (f["01"] - f["00"] + f["11"] - f["10"])
    assert shares["theta"] == 0.5 * (f["10"] - f["00"] + f["11"] - f["01"])


@given(st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=8), st.integers(1, 3))
def test_shares_add_up_and_are_the_mean_over_orders(numbers: list[float], count: int) -> None:
    players = TRIO[:count]
    table = {some: np.array(n) for some, n in zip(subsets(players), numbers, strict=False)}
    shares = shapley(table, players)
    change = table[frozenset(players)] - table[frozenset()]
    assert sum(shares.values()) == pytest.approx(float(change), rel=1e-9, abs=1e-6)
    for player in players:
        effects = []
        for order in itertools.permutations(players):
            before = frozenset(order[: order.index(player)])
            effects.append(table[before | {player}] - table[before])
        assert shares[player] == pytest.approx(float(np.mean(effects)), rel=1e-9, abs=1e-6)


def test_totals_along_the_path_add_up_over_any_span() -> None:
    values = [(0.2, 1.0, 0.0), (0.5, 1.5, 0.1), (0.9, 1.2, 0.4), (1.0, 2.0, 0.3)]
    points = walk(values, TRIO)
    for a, b in itertools.combinations(range(4), 2):
        shares = attribute_change(points[a], points[b])
        for row, term in enumerate(SUM_TERMS):
            expected = points[b].value[row] - points[a].value[row]
            assert sum(shares[term].shares.values()) == pytest.approx(expected, abs=1e-12)
        middle = attribute_change(points[a], points[2]), attribute_change(points[2], points[b])
        if a < 2 < b:
            for player in TRIO:
                parts = sum(one[SUM_TERMS[0]].shares[player] for one in middle)
                assert shares[SUM_TERMS[0]].shares[player] == pytest.approx(parts, abs=1e-12)


def test_the_draw_is_what_is_left_of_the_observed_change() -> None:
    points = walk([(0.2, 1.0), (0.5, 1.5)], ("phi", "theta"))
    before, after = {SUM_TERMS[0]: -3.0, SUM_TERMS[1]: 1.0}, {SUM_TERMS[0]: -2.0}
    share = attribute_change(points[0], points[1], before, after)
    own = share[SUM_TERMS[0]]
    assert own.observed == 1.0
    assert own.draw + sum(own.shares.values()) == pytest.approx(own.observed, abs=1e-15)
    lens = (-2.0 - points[1].value[0]) - (-3.0 - points[0].value[0])
    assert own.draw == pytest.approx(lens, abs=1e-12)
    assert math.isnan(share[SUM_TERMS[1]].draw), "a record without the term"


def test_the_first_point_has_moved_nothing() -> None:
    point = walk([(0.2, 1.0)], ("phi", "theta"))[0]
    assert (point.since, point.players) == (0, ("phi", "theta"))
    assert not point.share.any()
    assert not point.total.any()
    share = attribute_change(point, point, {SUM_TERMS[0]: 2.0}, {SUM_TERMS[0]: 2.0})[SUM_TERMS[0]]
    assert (share.shares, share.draw, share.observed) == ({"phi": 0.0, "theta": 0.0}, 0.0, 0.0)


def test_who_has_not_moved_has_a_share_of_exactly_nothing() -> None:
    path = AttributionPath()
    path.extend(0, reading(0.2, 1.0), ("phi", "theta"))
    now = reading(0.7, 1.0)
    point = path.extend(1, now, ("phi", "theta"), moved=by_phi(path, now))
    assert point.players == ("phi", "theta")
    assert (point.total[1] == 0.0).all()
    assert point.total[0, 0] == pytest.approx(point.value[0] - reading(0.2, 1.0).value[0])


def test_errors_are_those_of_paired_differences() -> None:
    points = walk([(0.2, 1.0), (0.5, 1.0), (0.6, 1.0)], ("phi",))
    paired = standard_error((0.5 - 0.2) * NOISE[0])
    assert points[1].share_error[0, 0] == pytest.approx(float(paired))
    assert points[2].total_error[0, 0] == pytest.approx(float(standard_error(0.4 * NOISE[0])))
    assert (
        attribute_change(points[1], points[2])[SUM_TERMS[0]].errors["phi"]
        == points[2].share_error[0, 0]
    )
    values = [(0.2 + 0.1 * i, 1.0) for i in range(6)]
    points = walk(values, ("phi",))
    # Of a span in the middle of the path the blocks tell, with the noise of 16 of them.
    attributed = attribute_change(points[2], points[5])[SUM_TERMS[0]].errors["phi"]
    assert attributed == pytest.approx(float(standard_error(0.3 * NOISE[0])), rel=0.6)


def test_a_point_that_is_not_finite_is_a_gap_and_the_sums_go_on() -> None:
    path = AttributionPath()
    first = path.extend(0, reading(0.2, 1.0), ("phi",))
    bad = reading(0.5, 1.0, bad=3)
    gap = path.extend(1, bad, ("phi",), moved=by_phi(path, bad))
    assert gap.nonfinite_draws == 3
    assert np.isnan(gap.share).all()
    assert np.isnan(gap.total).all()
    none = path.extend(2, no_samples(), ("phi",), moved=by_phi(path, no_samples()))
    assert none.draws == 0
    now = reading(0.9, 1.0)
    last = path.extend(3, now, ("phi",), moved=by_phi(path, now))
    assert last.since == 0
    moved = attribute_change(first, last)[SUM_TERMS[0]].shares["phi"]
    assert moved == pytest.approx(last.value[0] - first.value[0], abs=1e-12)


def test_shares_that_are_not_known_leave_the_base_where_it_was() -> None:
    path = AttributionPath()
    path.extend(0, reading(0.2, 1.0), ("phi", "theta"))
    point = path.extend(1, reading(0.5, 1.5), ("phi", "theta"), moved=None)
    assert np.isnan(point.share).all()
    assert np.isfinite(point.value).all()
    assert path.state == 0


def test_sites_that_come_and_go_add_nothing_where_they_are_not() -> None:
    extra = Term("extra", "log_p")
    base = reading(0.2, 1.0)
    more = TermSamples((*SUM_TERMS, extra), np.vstack([base.units, np.full(UNITS, -2.0)]), UNITS)
    path = AttributionPath()
    first = path.extend(0, base, ("phi",))
    then = path.extend(1, more, ("phi",), moved=by_phi(path, more))
    assert attribute_change(first, then)[extra].shares["phi"] == -2.0
    again = path.extend(2, base, ("phi",), moved=by_phi(path, base))
    assert extra not in attribute_change(first, again)
    assert attribute_change(first, again)[SUM_TERMS[0]].shares["phi"] == pytest.approx(
        0.0, abs=1e-12
    )


def test_no_player_at_all_leaves_everything_to_the_draw() -> None:
    path = AttributionPath()
    first = path.extend(0, reading(0.2, 1.0), ())
    last = path.extend(1, reading(0.2, 1.0), ())
    share = attribute_change(first, last, {SUM_TERMS[0]: 1.0}, {SUM_TERMS[0]: 3.0})[SUM_TERMS[0]]
    assert (share.shares, share.draw, share.observed) == ({}, 2.0, 2.0)


def test_what_another_path_would_share_out_otherwise_is_not_split() -> None:
    path = AttributionPath()
    first = path.extend(0, reading(0.2, 1.0), ("phi", "theta"))
    one = moved((0.2, 1.0, 0.0), (0.5, 1.5, 0.0), ("phi", "theta"))
    shares = {player: float(one.shares[player][0].mean()) for player in one.shares}
    for doubt, split in ((0.01, True), (0.5, False)):
        doubts = {"phi": np.full(5, doubt), "theta": np.full(5, -doubt)}
        point = copy.copy(path).extend(
            1, reading(0.5, 1.5), ("phi", "theta"), moved=replace(one, doubt=doubts)
        )
        found = attribute_change(first, point)[SUM_TERMS[0]]
        assert found.split == split
        assert found.together == pytest.approx(sum(shares.values()))
        assert (found.shares == pytest.approx(shares)) == split
        assert found.draw + found.together == pytest.approx(found.observed, nan_ok=True)


def test_roles_become_players() -> None:
    assert players_of(["none", "model", "guide"]) == ("phi", "theta")
    assert players_of(["both"]) == ("both",)
    assert players_of([]) == ()


def test_a_record_reports_the_parts_of_log_p() -> None:
    sites = {
        "z": SiteRecord(-1.0, -0.5, observed=False),
        "x": SiteRecord(-2.0, None, observed=True),
        "aux": SiteRecord(None, -0.25, observed=False),
    }
    record = StepRecord(1, 2.25, -2.25, -3.0, -0.75, 0.1, sites, {})
    assert observed_terms(record) == {
        Term("", "log_p"): -3.0,
        Term("", "log_q"): -0.75,
        Term("", "elbo"): -2.25,
        Term("", "likelihood"): -2.0,
        Term("", "prior"): -1.0,
        Term("z", "log_p"): -1.0,
        Term("z", "log_q"): -0.5,
        Term("x", "log_p"): -2.0,
        Term("aux", "log_q"): -0.25,
    }
    assert observed_terms(None) == {}
