"""Names in a narrow column: short, of an exact width, and never alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult

from tests.ui.fake_numbers import layout
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch
from tui_elbo.ui.panes.params import ParamsPane
from tui_elbo.ui.style.names import fit_names, shared_prefix, short_names

GUIDE = [
    f"AutoNormal.{kind}.{site}" for site in ("intercept", "slope") for kind in ("locs", "scales")
]
LAYERS = [f"encoder$$$layers.{i}.{kind}" for i in range(3) for kind in ("weight", "bias")]


def stripped(names: list[str], width: int, group: list[str] | None = None) -> list[str]:
    return [text.rstrip() for text in fit_names(names, width, group=group).values()]


def test_only_what_all_share_is_left_out():
    assert shared_prefix(GUIDE) == "AutoNormal."
    assert shared_prefix([]) == shared_prefix(["a", "a.b"]) == ""
    names = [*GUIDE, "sigma"]
    assert stripped(names, 27, GUIDE) == names
    whole = ["locs.intercept", "scales.intercept", "locs.slope", "scales.slope", "sigma"]
    assert stripped(names, 16, GUIDE) == whole
    assert short_names(["x.b", "b"], ["x.b"]) == {"x.b": "x.b", "b": "b"}
    # A filter that leaves one name does not change what is left out of it.
    assert stripped(GUIDE[1:2], 16, GUIDE) == ["scales.intercept"]


@pytest.mark.parametrize(
    ("width", "texts"),
    [
        (14, ["locs.intercept", "sc…s.intercept", "locs.slope", "scales.slope"]),
        (7, ["lo…cept", "sc…cept", "lo…lope", "sc…lope"]),
    ],
)
def test_the_middle_goes_first(width, texts):
    assert stripped(GUIDE, width) == texts


def test_what_differs_in_the_middle_is_kept():
    expected = ["…0.wei…", "…0.bias", "…1.wei…", "…1.bias", "…2.wei…", "…2.bias"]
    assert stripped(LAYERS, 7, []) == expected
    alike = [f"aaa{i}bbbbbbbbbb{j}ccccccc" for i in range(2) for j in range(2)]
    assert stripped(alike, 7) == ["#1…cccc", "#2…cccc", "#3…cccc", "#4…cccc"]


NAMES = st.lists(st.text("ab.漢[0]1", min_size=1, max_size=16), min_size=1, max_size=8, unique=True)


@given(NAMES, st.integers(5, 20), st.sampled_from(["…", "~"]))
def test_no_two_are_alike_and_each_has_the_width_asked_for(names, width, more):
    fitted = fit_names(names, width, more, names[::2])
    assert list(fitted) == names
    assert all(cell_len(text) == width for text in fitted.values())
    assert len(set(fitted.values())) == len(names)


class Alone(App[None]):
    def compose(self) -> ComposeResult:
        yield ParamsPane()


@pytest.mark.parametrize("width", [24, 30, 38, 50])
async def test_parameters_can_be_told_apart_in_any_width(width):
    shown = layout((*GUIDE, *LAYERS), ("z", "x"))
    history = History()
    async with Alone().run_test(size=(width, 20)) as pilot:
        pane = pilot.app.query_one(ParamsPane)
        history.append(Batch(shown, 1, np.ones((len(shown.columns), 1))))
        pane.show(history, 1)
        await pilot.pause()
        names = [pane.lines_of(row, False)[0][2][0] for row in range(pane.count())]
        assert len(names) == len(set(names)) == 10
