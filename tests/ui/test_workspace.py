"""The workspace: a table of runs, their curves, and the way to one of them and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.ui.driving import Driven, driven
from tui_elbo.model.comparison import Evaluation, ModelFingerprint, unevaluated
from tui_elbo.model.errors import UsageError
from tui_elbo.model.findings import Finding, Subject
from tui_elbo.model.reduction import Reduction
from tui_elbo.model.run_table import Row
from tui_elbo.model.workspace import FolderContent, Progress, RunProgress, WatchedRun
from tui_elbo.protocol import RunSaved
from tui_elbo.ui.plot.axes import Axes
from tui_elbo.ui.plot.cell_grid import Look
from tui_elbo.ui.plot.overlay import OverlaidCurve, axes_for, joined, overlay
from tui_elbo.ui.run_list import RunList
from tui_elbo.ui.setting_list import SettingList
from tui_elbo.ui.views.views import key_lines
from tui_elbo.ui.workspace import KEYS, Overlay, spread

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


class FakeSource:
    """What the folder holds, as a test sets it."""

    def __init__(self, *runs: WatchedRun, **more: object) -> None:
        self.put(*runs, **more)
        self.asked: list[tuple[str, str]] = []

    def put(self, *runs: WatchedRun, **more: object) -> None:
        given = {"title": "coin", "steps": 100, "live": False, "swept": True} | more
        self.content: FolderContent | None = FolderContent(runs=runs, **given)
        self.error: UsageError | None = None

    def read(self) -> FolderContent | None:
        if self.error is not None:
            raise self.error
        found, self.content = self.content, None
        return found

    def file_of(self, run: WatchedRun) -> str:
        if not run.row.file and run.progress != "running":
            raise UsageError("its chunks cannot be read just now")
        return run.row.file or f"/copies/{run.name}.run"

    def ask(self, act: str, run: WatchedRun) -> None:
        self.asked.append((act, run.name))

    def add(self, text: str) -> int:
        if "=" not in text:
            raise UsageError(f"{text} is no setting")
        self.asked.append(("add", text))
        return 4

    def close(self) -> None:
        pass

    def compare(self, rows: Sequence[Row]) -> str:
        return f"{len(rows)} runs are compared"


def run(
    rate: float,
    seed: int,
    elbo: float = -5.0,
    *,
    steps: int = 100,
    progress: RunProgress = "ended",
    ended: str = "steps",
    verdict: str = "stationary",
    note: str = "",
    findings: tuple[Finding, ...] = (),
) -> WatchedRun:
    """A run whose ELBO rises to `elbo`, with an evaluation where it is finite."""
    values = elbo - 10 * np.exp(-np.arange(steps) / 20)
    if ended == "not finite":
        values[-1:] = math.nan
    reduction, loss = Reduction(), Reduction()
    reduction.extend(values)
    loss.extend(-values)
    units = elbo + 0.01 * np.random.default_rng(1).normal(size=50) * (1 + abs(elbo) / 10)
    evaluation = unevaluated("it is not to be seen")
    if progress == "ended" and ended == "steps":
        evaluation = Evaluation(ModelFingerprint({}, {}), "guide", units, 0.25)
    row = Row(
        run={"seed": seed, "lr": rate},
        step=steps,
        loss=-elbo if steps else math.nan,
        evaluation=evaluation,
        verdict=verdict if progress == "ended" else "",
        seconds=steps / 10,
        ended=ended if progress == "ended" else "",
        note=note,
        file=f"/runs/lr-{rate}_seed-{seed}.run" if progress == "ended" else "",
        findings=findings,
    )
    return WatchedRun(f"lr-{rate}_seed-{seed}", progress, row, reduction, loss)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch) -> None:
    monkeypatch.setattr("tui_elbo.ui.workspace.POLL", 0.05)


def runs() -> list[WatchedRun]:
    return [
        run(rate, seed, elbo)
        for rate, seed, elbo in [(0.01, 0, -8.0), (0.01, 1, -7.0), (0.1, 0, -5.0), (0.1, 1, -6.0)]
    ]


def table(d: Driven) -> list[str]:
    """The lines of the table, without its header."""
    region = d.app.screen.query_one(RunList).region
    return [line for line in d.lines()[region.y + 1 : region.bottom] if line]


async def test_shows_the_runs_and_their_curves():
    async with driven("normal", target=None, source=FakeSource(*runs())) as d:
        await d.shows("coin · 4 runs · ELBO, running mean", "below best", "best", "stationary")
        await d.golden("workspace_80x24")


async def test_sorts_reverses_pins_and_filters():
    async with driven("normal", target=None, source=FakeSource(*runs())) as d:
        await d.shows("lr 0.01, seed 0: ELBO -8.00")
        await d.press("right", "right", "right", "right")
        await d.shows("sorted by ELBO")
        assert [line[8:12].strip() for line in table(d)] == ["0", "1", "1", "0"]
        await d.press("r")
        await d.shows("sorted by ELBO, reversed", "ELBO↑")
        assert table(d)[0].startswith("█ 0.01  0")
        await d.press("end", "p")
        await d.until(lambda: table(d)[0].startswith("█*0.1   0"))
        await d.press("slash", *"lr=0.1")
        await d.shows("2 of 4 runs", "\n lr=0.1")
        await d.press("enter", "slash", *"rate", "enter")
        await d.shows("no run has 'rate'; escape shows all")
        await d.press("escape")
        await d.shows("4 runs")
        assert len(table(d)) == 4


async def test_enter_opens_a_run_and_escape_comes_back():
    async with driven("normal", target=None, source=FakeSource(*runs())) as d:
        await d.shows("lr 0.01, seed 0")
        await d.press("down", "enter")
        await d.ready()
        assert d.explorer.session.target == "/runs/lr-0.01_seed-1.run"
        await d.press("3", "n")
        await d.until(lambda: d.run.step == 3)
        await d.press("escape")
        await d.shows("back to the runs? 3 steps will be lost")
        await d.press("y")
        await d.shows("lr 0.01, seed 1: ELBO")
        await d.press("end", "enter")
        await d.ready()
        assert d.explorer.session.target == "/runs/lr-0.1_seed-1.run"


async def test_a_run_that_goes_on_is_opened_as_it_stands():
    source = FakeSource(run(0.1, 0, steps=50, progress="running"), run(0.1, 1), live=True)
    async with driven("normal", target=None, source=source) as d:
        await d.shows("is running, at step 50")
        await d.press("enter")
        await d.ready()
        assert d.explorer.session.target == "/copies/lr-0.1_seed-0.run"
        await d.press("escape")
        await d.shows("is running, at step 50")
        await d.press("c")
        await d.shows("there are no two runs that have ended")
        source.put(*runs())
        await d.shows("4 runs")
        await d.press("c")
        await d.shows("4 runs are compared")
        await d.press("c")
        await d.shows("ELBO, running mean")


async def test_what_a_file_holds_is_not_asked_about():
    source = FakeSource(*(run(0.1, seed, steps=3) for seed in range(2)))
    async with driven("normal", target=None, source=source) as d:
        await d.shows("seed 0")
        await d.press("enter")
        await d.ready()
        await d.press("3", "n")
        await d.until(lambda: d.run.step == 3 and not d.explorer.session.commands.running)
        d.run.apply(RunSaved("x.run", 3))
        await d.press("escape")
        await d.shows("seed 0: ELBO")


async def test_follows_a_sweep():
    begun = [
        run(0.1, 0, steps=50, progress="running"),
        run(0.1, 1, steps=0, progress="waiting"),
    ]
    progress = Progress(0, 2, 50, 200, 75.0, 1, rate=12.5, under_way=("lr-0.1_seed-0",))
    source = FakeSource(*begun, live=True, progress=progress, since=5.0)
    async with driven("normal", (120, 24), target=None, source=source) as d:
        await d.shows("0 ended · 12 steps/s · about 70 s left · 1 chunk lost", "running")
        await d.shows("is running, at step 50 of at most 100")
        await d.press("down", "enter")
        await d.shows("it cannot be opened: it has taken no step")
        source.put(begun[0], run(0.1, 1, progress="left"))
        await d.shows("no sweep is under way", "not ended")
        await d.press("enter")
        await d.shows("it cannot be opened: its chunks cannot be read just now")
        await d.press("up", "down")
        await d.shows("at step 100: the same sweep command goes on with it")
        source.put(*(run(0.1, seed) for seed in range(2)))
        await d.shows("2 runs · ELBO", "the best")
        source.error = UsageError("the folder cannot be read: it is gone")
        await d.shows("the folder cannot be read: it is gone")


async def test_a_run_that_went_wrong_is_a_row_with_its_reason():
    note = "the loss is nan at step 57: log p of site [b]x[/b] is not finite, since its scale is 0"
    source = FakeSource(
        run(0.1, 0),
        run(10.0, 0, steps=57, ended="not finite", note=note),
        run(2.0, 0, steps=50, ended="dropped", note="it cannot catch up"),
        run(1.0, 0, steps=0, progress="unreadable", note="this saved run is not whole"),
    )
    async with driven("normal", target=None, source=source) as d:
        await d.shows("1 with errors", "not finite", "not readable", "×")
        await d.press("down")
        await d.shows("not finite at step 57: the loss is nan at step 57", "since its scale is 0")
        await d.press("down")
        await d.shows("dropped at step 50: it cannot catch up")
        await d.press("down")
        await d.shows("this saved run is not whole")
        await d.press("enter")
        await d.shows("it cannot be opened: this saved run is not whole")


async def test_findings_are_a_column_and_no_good_verdict_stands_beside_them():
    def found(code: str, level: str) -> Finding:
        return Finding(code, "a-rule", level, Subject("run"), f"{code} is wrong", "do")

    some = (found("SVI044", "error"), found("SVI112", "warning"), found("SVI118", "note"))
    source = FakeSource(run(0.1, 0), run(0.2, 0, findings=some), run(0.3, 0, findings=some[2:]))
    async with driven("normal", (120, 30), target=None, source=source) as d:
        await d.shows("findings", "SVI044 +1")
        assert ["stationary" in line for line in table(d)] == [True, False, True]
        await d.press("slash", *"a-rule", "enter")
        await d.shows("1 of 3 runs", "SVI044 SVI044 is wrong; SVI112")


async def test_stops_restarts_and_adds_runs():
    some = (
        run(0.1, 0, steps=50, progress="running"),
        run(0.2, 0, steps=50, ended="by hand"),
        run(0.3, 0),
    )
    source = FakeSource(*some, live=True)
    async with driven("normal", target=None, source=source) as d:
        await d.shows("lr 0.1: is running")
        await d.press("s")
        await d.shows("it ends with the chunk under way")
        await d.press("down")
        await d.shows("ended by hand")
        await d.press("s")
        await d.shows("it goes on from step 50")
        await d.press("down", "s")
        await d.shows("it has ended by itself: R takes it again")
        await d.press("R")
        await d.shows("R again takes it again from step 0: its 100 steps are lost")
        await d.press("up", "R")
        await d.shows("its 50 steps are lost")
        await d.press("R")
        await d.shows("it is taken again from step 0")
        await d.press("a")
        await d.shows("lr=0.2 seeds=0")
        await d.press("ctrl+u", *"nonsense", "enter")
        await d.shows("nonsense is no setting")
        await d.press("ctrl+u", *"seeds=8:12", "enter")
        await d.shows("4 runs asked for", "0.2")
        await d.press("a", "escape")
        assert source.asked == [
            ("stop", "lr-0.1_seed-0"),
            ("resume", "lr-0.2_seed-0"),
            ("restart", "lr-0.2_seed-0"),
            ("add", "seeds=8:12"),
        ]
        source.put(*some, live=True, notice="lr -1 does not fit")
        await d.press("up")
        await d.shows("lr -1 does not fit")


async def test_saved_runs_are_of_no_sweep():
    async with driven("normal", target=None, source=FakeSource(run(0.1, 0), swept=False)) as d:
        for key in "sRa":
            await d.press(key)
            await d.shows("these are saved runs, and of no sweep")
            await d.press("j")


async def test_groups_by_setting_and_shows_the_loss():
    async with driven("normal", target=None, source=FakeSource(*runs())) as d:
        await d.shows("4 runs")
        await d.press("g", "v", "y")
        await d.shows("loss, running mean (full): median and range of the seeds")
        await d.press("question_mark")
        await d.shows("open the run in the explorer at its last step")
        await d.press("question_mark", "w")
        await d.shows("w has no use here: ? lists the keys")
    lone = FakeSource(run(0.1, 0), run(0.2, 0))
    async with driven("normal", target=None, source=lone) as d:
        await d.shows("2 runs")
        await d.press("g")
        await d.shows("no two runs have the same settings")


async def test_a_line_a_setting_with_the_median_and_the_gap_to_the_best():
    fault = Finding("SVI112", "a-rule", "warning", Subject("run"), "it is wrong", "do")
    some = [
        *(run(0.01, seed, -8.0 + seed / 2) for seed in range(3)),
        *(run(0.1, seed, -5.0 + seed / 2, findings=(fault,) * (seed == 1)) for seed in range(3)),
        *(run(0.1, seed, verdict="improving", ended="failed") for seed in (3,)),
    ]
    async with driven("normal", target=None, source=FakeSource(*some)) as d:
        await d.shows("7 runs")
        await d.press("t")
        await d.shows("median ELBO", "lowest", "below best", "best")
        await d.until(lambda: "(" in settings(d)[0])
        worse, best = (line.split() for line in settings(d))
        assert worse[1:6] == ["0.01", "3", "-7.50", "-8.00", "-7.00"]
        assert best[1:6] == ["0.1", "4", "-4.50", "-5.00", "-4.00"]
        assert "3.00 (3.00 to 3.00)" in settings(d)[0]
        await d.shows("3 runs: 3 stationary; 3 nats below lr 0.1 (95 % interval")
        await d.press("s")
        await d.shows("a line is a setting with all its runs: t shows the runs")
        await d.press("down")
        await d.shows("4 runs: 2 stationary, 1 none, 1 failed")
        await d.press("enter")
        await d.shows("4 of 7 runs", "lr 0.1, seed 0")
        await d.press("escape", "t", "slash", *"lr=0.01", "enter")
        await d.until(lambda: len(settings(d)) == 1)
        await d.press("t")
        await d.shows("3 of 7 runs")
    async with driven("normal", target=None, source=FakeSource(run(0.1, 0), run(0.2, 0))) as d:
        await d.shows("2 runs")
        await d.press("t")
        await d.shows("no two runs have the same settings")


def settings(d: Driven) -> list[str]:
    """The lines of the table of settings, without its header."""
    found = d.app.screen.query_one(SettingList).region
    return [line for line in d.lines()[found.y + 1 : found.bottom] if line.strip()]


async def test_a_run_in_the_table_has_the_letter_of_its_curve():
    async with driven("normal", target=None, source=FakeSource(*runs()), ascii=True) as d:
        await d.until(lambda: [line[0] for line in table(d)] == ["a", "b", "c", "d"])
        await d.press("g")
        await d.until(lambda: [line[0] for line in table(d)] == ["a", "a", "b", "b"])
        curves = d.lines()[1 : d.app.screen.query_one(Overlay).region.bottom - 1]
        letters = {*"".join(curves)} & {*"abcd"}
        assert letters == {"a", "b"}


async def test_many_runs_are_grouped_at_first():
    many = [run(rate, seed) for rate in (0.1, 0.2, 0.3) for seed in range(20)]
    async with driven("normal", target=None, source=FakeSource(*many)) as d:
        await d.shows("60 runs", "median and range", "↓ 51 more")


@pytest.mark.parametrize("size", [(60, 18), (30, 8), (200, 60)])
async def test_any_size(size):
    async with driven("normal", size, target=None, source=FakeSource(*runs()), ascii=True) as d:
        await d.shows("needs 60 columns" if size < (60, 18) else "coin - 4 runs")
        await d.press("down", "right")


async def test_runs_may_go_away():
    source = FakeSource(*runs())
    async with driven("normal", target=None, source=source) as d:
        await d.shows("4 runs")
        await d.press("end")
        source.put(*runs()[:1])
        await d.pilot.resize_terminal(90, 30)
        await d.shows("1 run ", "seed 0: ELBO")
        source.put(*runs())
        await d.pilot.resize_terminal(80, 24)
        await d.shows("4 runs")


async def test_nothing_is_drawn_while_nothing_changes():
    async with driven("normal", target=None, source=FakeSource(*runs())) as d:
        await d.shows("3.0001 ± 0.0004 below")
        source, drawn = d.app.screen._source, []
        original = Overlay.paint
        with pytest.MonkeyPatch.context() as patch:
            looked = []
            patch.setattr(source, "read", lambda: looked.append(1))
            await d.until(lambda: len(looked) > 4)
            patch.setattr(Overlay, "paint", lambda self: drawn.append(1) or original(self))
            await d.until(lambda: len(looked) > 8)
        assert not drawn


@pytest.mark.parametrize("keys", [["q"], ["escape"], ["slash", "q", "escape", "q"]])
async def test_leaves(keys):
    async with driven("normal", target=None, source=FakeSource(*runs())) as d:
        await d.shows("4 runs")
        await d.press(*keys)
        await d.until(lambda: not d.app.is_running)
    assert d.app.return_code == 0


def test_the_help_fits_and_the_readme_has_every_key():
    for line in key_lines(KEYS):
        assert sum(len(part) for part, _ in line) <= 74
    rows = [f"| `{key.show}` | {key.help} |" for key in KEYS]
    assert "\n".join(["| key | does |", "|---|---|", *rows]) in README


def test_curves_lie_over_each_other_and_the_last_is_on_top():
    flat = np.full(40, 1.0)
    rising = np.linspace(0.0, 2.0, 40)
    never = np.zeros(40, dtype=bool)
    axes = axes_for(np.r_[flat, rising], 20, height=9, look=Look(ascii=True), before=Axes())
    curves = [OverlaidCurve(flat[::2], never[::2], "red", "a")]
    curves.append(OverlaidCurve(rising[::2], never[::2], "blue", "b"))
    lines = overlay(curves, axes, 28, 8, Look(ascii=True))
    text = ["".join(part for part, _ in line) for line in lines]
    crossed = next(line for line in text if "a" in line)
    assert "b" in crossed
    assert sum(line.count("a") for line in text) < 20
    assert {style for line in lines for part, style in line if "b" in part} == {"blue"}


def test_a_line_leads_over_steps_to_come_and_not_over_what_is_broken():
    values = np.array([1.0, np.nan, 3.0, np.nan, 5.0, np.nan])
    broken = np.array([False, False, False, True, False, False])
    found = joined(values, broken)
    assert found[:3].tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(found[[3, 5]]).all()
    assert found[4] == 5.0


def test_the_spread_is_over_those_that_have_a_number():
    nan = math.nan
    low, middle, high = spread(np.array([[1.0, 1.0, nan], [3.0, nan, nan], [5.0, nan, nan]]))
    assert (low[0], middle[0], high[0]) == (1.0, 3.0, 5.0)
    assert (low[1], middle[1], high[1]) == (1.0, 1.0, 1.0)
    assert np.isnan([low[2], middle[2], high[2]]).all()
