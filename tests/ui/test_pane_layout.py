"""Panes never overlap, never pass the edge, and each size has some."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui_elbo.ui.pane_grid import CURVES, LEAST, TABLES, arrange, stack
from tui_elbo.ui.plot.run_curves import EVALUATION

SIZES = st.tuples(st.integers(60, 320), st.integers(14, 110))
ROWS = st.lists(st.integers(0, 400), min_size=len(TABLES), max_size=len(TABLES))
WISHES = ROWS.map(lambda rows: dict(zip(TABLES, rows, strict=True)))


@given(
    SIZES,
    WISHES,
    st.integers(0, 9),
    st.sampled_from(["", "elbo", "params"]),
    st.fixed_dictionaries({"silent": st.booleans(), "evaluates": st.booleans()}),
)
def test_panes_fill_the_room_without_overlapping(size, wanted, page, alone, options):
    places = arrange(size, wanted, page=page, alone=alone, **options)
    seen = set()
    for place in places.values():
        assert place.width > 0
        assert place.height > 0
        cells = {
            (x, y)
            for x in range(place.x, place.x + place.width)
            for y in range(place.y, place.y + place.height)
        }
        assert not cells & seen
        seen |= cells
    assert seen == {(x, y) for x in range(size[0]) for y in range(size[1])}


@given(SIZES, WISHES)
def test_each_table_has_its_turn_beside_the_parameters(size, wanted):
    shown = [set(arrange(size, wanted, page=page)) for page in range(len(TABLES) - 1)]
    assert set.union(*shown) == {*CURVES, *TABLES}
    assert all({*CURVES, "params"} <= one for one in shown)


def test_larger_terminals_show_more():
    wanted = dict.fromkeys(TABLES, 8)
    counts = [len(arrange(size, wanted)) for size in ((80, 22), (120, 38), (200, 48))]
    assert counts[0] == 5
    assert counts[0] < counts[1] <= counts[2] == 3 + len(TABLES)


@given(st.integers(0, 100), st.lists(st.integers(0, 200), min_size=1, max_size=5))
def test_rows_are_shared_and_nobody_pays_for_another(room, wanted):
    heights = stack(room, wanted)
    assert sum(heights) == room
    share = room // len(wanted)
    for height, want in zip(heights, wanted, strict=True):
        assert height >= min(want, share)
    if sum(max(want, LEAST) for want in wanted) <= room:
        assert all(h >= w for h, w in zip(heights, wanted, strict=True))


def test_where_there_is_no_room_for_four_curves_that_of_evaluations_is_in_place_of_log_q():
    wanted = dict.fromkeys(TABLES, 5)
    small, large = (set(arrange(size, wanted, evaluates=True)) for size in ((80, 20), (120, 36)))
    assert small & {*CURVES, EVALUATION} == {"log_p", EVALUATION, "elbo"}
    assert large >= {*CURVES, EVALUATION}
