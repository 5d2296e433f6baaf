"""`elbo-tui report`: the runs of a folder as one page to show others, in HTML or Markdown."""

from __future__ import annotations

import argparse
import base64
import math
import sys
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tui_elbo import __version__
from tui_elbo.cli.options import parser, whole
from tui_elbo.cli.run_table import settings_notes, table_cells, table_notes
from tui_elbo.model.errors import UsageError
from tui_elbo.model.reduction import Reduction
from tui_elbo.model.run_table import Row, columns, modes_notes, shown
from tui_elbo.model.scenarios import expanded
from tui_elbo.model.text import safe

if TYPE_CHECKING:
    from tui_elbo.many.folder import Plan
    from tui_elbo.model.workspace import FolderContent, WatchedRun

DESCRIPTION = """\
Write the runs of a folder as one page: the table, the curves, the comparison and the settings.

The page is HTML that needs no other file, or Markdown. It is printed on stdout, or written to FILE.
"""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999933")
"""Okabe and Ito's, which most eyes tell apart, and one more; then from the first again."""

WIDTH, HEIGHT, LEFT, BELOW, MARGIN = 760, 340, 70, 36, 10
"""Of the curves, in pixels."""

COLUMNS = 512
"""Points of a curve at most."""

STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }
svg { max-width: 100%; height: auto; }
pre { overflow-x: auto; background: #f6f6f6; padding: .6rem; }
"""


def main(words: list[str]) -> int:
    """Print the page; returns the exit code.

    Raises:
        UsageError: if there is no run in the folder, or the page cannot be written.
    """
    from tui_elbo.many.folder import plan_of  # noqa: PLC0415 - only what it takes
    from tui_elbo.many.folder_reader import FolderReader  # noqa: PLC0415

    chosen = _options().parse_args(words)
    path = expanded(Path(chosen.dir))
    if not path.is_dir():
        raise UsageError(
            "there is no such folder", where=str(path), hint="elbo-tui sweep makes one"
        )
    content = FolderReader(path).read()
    assert content is not None
    runs = [run for run in content.runs if run.row.step]
    if not runs:
        raise UsageError("no run in this folder has taken a step yet", where=str(path))
    rows = [run.row for run in runs]
    if not content.swept:
        rows = _evaluated(rows, chosen)
    make = html_page if chosen.format == "html" else markdown_page
    text = make(content, runs, rows, plan_of(path))
    if chosen.output is None:
        sys.stdout.write(text)
        return 0
    try:
        expanded(Path(chosen.output)).write_text(text, encoding="utf-8")
    except OSError as error:
        what = f"the page cannot be written: {error.strerror or error}"
        raise UsageError(what, where=chosen.output) from error
    return 0


def _evaluated(rows: Sequence[Row], chosen: argparse.Namespace) -> list[Row]:
    from dataclasses import replace  # noqa: PLC0415

    from tui_elbo.many.evaluate import evaluate_files  # noqa: PLC0415

    seen = evaluate_files([Path(row.file) for row in rows], chosen.draws, chosen.jobs)
    return [replace(row, evaluation=one) for row, one in zip(rows, seen, strict=True)]


def html_page(
    content: FolderContent, runs: Sequence[WatchedRun], rows: Sequence[Row], plan: Plan | None
) -> str:
    """The page in HTML; nothing in it is loaded from elsewhere.

    Args:
        content: of the folder.
        runs: those that have taken a step.
        rows: the same in the table, with what the lens has seen.
        plan: of the sweep; None where there was none.
    """
    head, *lines = table_cells(rows)
    title = escape(safe(content.title))
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>\n{STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        *(f"<p>{escape(note)}</p>" for note in _standing(content)),
        "<h2>Runs</h2>",
        "<table>",
        "<thead><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr></thead>",
        "<tbody>",
        *("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in line) + "</tr>" for line in lines),
        "</tbody></table>",
        *(f"<p>{escape(note)}</p>" for note in table_notes(rows)),
        "<h2>Curves</h2>",
        *(f"<figure>{svg}</figure>" for svg in _curves(runs)),
        "<h2>Comparison</h2>",
        *(f"<p>{escape(note)}</p>" for note in _comparison(rows)),
        "<h2>Settings</h2>",
        "<ul>",
        *(f"<li>{escape(n)}: {escape(v)}</li>" for n, v in _settings(rows, plan).items()),
        "</ul>",
    ]
    if plan is not None:
        source = escape(safe(plan.text.decode("utf-8", "replace"), lines=True))
        parts.append(f"<details><summary>The scenario</summary><pre>{source}</pre></details>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


def markdown_page(
    content: FolderContent, runs: Sequence[WatchedRun], rows: Sequence[Row], plan: Plan | None
) -> str:
    """The same in Markdown, the curves as images inside it."""
    head, *lines = table_cells(rows)
    parts = [
        f"# {_plain(content.title)}",
        *map(_plain, _standing(content)),
        "## Runs",
        "\n".join(_line(line) for line in (head, ["--:"] * len(head), *lines)),
        *map(_plain, table_notes(rows)),
        "## Curves",
    ]
    for svg in _curves(runs):
        data = base64.b64encode(svg.encode()).decode()
        parts.append(f"![Curves of the runs](data:image/svg+xml;base64,{data})")
    listed = (f"- {_plain(n)}: {_plain(v)}" for n, v in _settings(rows, plan).items())
    parts += ["## Comparison", *map(_plain, _comparison(rows)), "## Settings", "\n".join(listed)]
    return "\n\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    plain = (cell if cell == "--:" else _plain(cell) for cell in cells)
    return f"| {' | '.join(plain)} |"


def _plain(text: str) -> str:
    """Text of which Markdown makes nothing."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#&~" else c for c in safe(text))


def _standing(content: FolderContent) -> Iterator[str]:
    ended = sum(run.progress == "ended" for run in content.runs)
    if ended < len(content.runs):
        yield f"{ended} of {len(content.runs)} runs have ended; the others are as far as they are."


def _comparison(rows: Sequence[Row]) -> list[str]:
    from tui_elbo.many.barrier import barrier_between  # noqa: PLC0415

    found = [*modes_notes(rows, barrier_between), *settings_notes(rows)]
    return found or ["There is nothing to be compared."]


def _settings(rows: Sequence[Row], plan: Plan | None) -> dict[str, str]:
    """What all runs have in common, and how they were seen."""
    differ = {*columns(rows), "run"}
    found = {name: shown(value) for name, value in rows[0].run.items() if name not in differ}
    if plan is not None:
        goal, spread = plan.goal, " sd" if plan.goal.tolerance.of_spread else " nats"
        until = ", or until converged" if goal.converged else ""
        found |= {"scenario": safe(plan.settings.name)}
        found |= {"steps": f"at most {goal.steps}{until}" if goal.steps else "the scenario's own"}
        found |= {"tolerance of the verdict": f"{goal.tolerance.value:g}{spread}"}
        found |= {"draws of the lens": str(goal.draws), "threads": str(plan.settings.threads)}
        found |= {"device": safe(plan.settings.device or "torch's own")}
    return found | {"made by": f"elbo-tui {__version__}"}


def _curves(runs: Sequence[WatchedRun]) -> Iterator[str]:
    """The ELBO of each step where the runs have it, and minus it, the loss, where they have not."""
    for name, curves in (
        ("ELBO of a step, nats", [run.elbo for run in runs]),
        ("loss of a step", [run.loss if run.elbo.empty else Reduction() for run in runs]),
    ):
        if any(not curve.empty for curve in curves):
            yield _svg(name, runs, curves)


def _svg(name: str, runs: Sequence[WatchedRun], curves: Sequence[Reduction]) -> str:
    settings = [_setting(run.row, runs) for run in runs]
    order = list(dict.fromkeys(settings))
    colours = {one: COLOURS[index % len(COLOURS)] for index, one in enumerate(order)}
    steps = max(curve.steps for curve in curves)
    paths = [_points(curve, steps) for curve in curves]
    low, high = _range([y for points in paths for _, y in points])
    wide, tall = WIDTH - LEFT - MARGIN, HEIGHT - BELOW - MARGIN

    def place(x: float, y: float) -> str:
        down = min((high - y) / (high - low), 2.0)  # What is lower is cut off below.
        return f"{LEFT + wide * x / steps:.1f},{MARGIN + tall * down:.1f}"

    lines = [
        f'<polyline fill="none" stroke="{colours[setting]}" stroke-width="1.2" '
        f'stroke-opacity="0.8" points="{" ".join(place(x, y) for x, y in part)}"/>'
        for setting, points in zip(settings, paths, strict=True)
        for part in _unbroken(points)
    ]
    bottom = MARGIN + tall
    ticks = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = LEFT + wide * share, bottom - tall * share
        ticks += [
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{steps * share:,.0f}</text>',
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
            f"{low + (high - low) * share:.4g}</text>",
            f'<line x1="{LEFT}" x2="{LEFT + wide}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
        ]
    legend = []
    if len(order) > 1:
        for index, setting in enumerate(order):
            y = HEIGHT + 18 * (index + 1)
            legend.append(
                f'<rect x="{LEFT}" y="{y - 9}" width="14" height="4" fill="{colours[setting]}"/>'
                f'<text x="{LEFT + 20}" y="{y}">{escape(setting)}</text>'
            )
    total = HEIGHT + (18 * len(order) + 8 if legend else 4)
    title = f'<text x="{LEFT + wide / 2:.0f}" y="{HEIGHT - 4}" text-anchor="middle">step</text>'
    axis = f'<text x="{LEFT + 4}" y="{MARGIN + 12}">{escape(name)}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" '
        f'width="{WIDTH}" height="{total}" font-family="sans-serif" font-size="12">'
        f"<title>{escape(name)}</title>{''.join(ticks)}"
        f'<clipPath id="inside"><rect x="{LEFT}" y="{MARGIN}" width="{wide}" height="{tall}"/>'
        f'</clipPath><g clip-path="url(#inside)">{"".join(lines)}</g>'
        f"{''.join([title, axis, *legend])}</svg>"
    )


def _setting(row: Row, runs: Sequence[WatchedRun]) -> str:
    names = [name for name in columns([run.row for run in runs]) if name != "seed"]
    return ", ".join(f"{name} {shown(row.run.get(name))}" for name in names)


def _points(curve: Reduction, steps: int) -> list[tuple[float, float]]:
    """The curve at the middles of its columns; NaN where a number is not finite."""
    columns = min(COLUMNS, steps)
    means, broken = curve.over(steps, columns)
    return [
        ((index + 0.5) * steps / columns, math.nan if bad else float(mean))
        for index, (mean, bad) in enumerate(zip(means, broken, strict=True))
        if bad or not math.isnan(mean)
    ]


def _unbroken(points: Sequence[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    for gap, part in groupby(points, lambda point: math.isnan(point[1])):
        if not gap:
            yield list(part)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """What is drawn: all but the lowest fiftieth, in which the starts lie."""
    finite = [value for value in values if not math.isnan(value)]
    if not finite:
        return 0.0, 1.0
    low, high = (float(one) for one in np.quantile(finite, (0.02, 1.0)))
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return low - room, high + room


def _options() -> argparse.ArgumentParser:
    options = parser("elbo-tui report", DESCRIPTION)
    options.add_argument("dir", help="the folder of a sweep, or one of saved runs")
    options.add_argument(
        "--format", choices=("html", "markdown"), default="html", help="default: html"
    )
    options.add_argument("-o", "--output", metavar="FILE", help="default: stdout")
    options.add_argument(
        "--draws", type=whole(2), default=256, metavar="M", help="of the lens; default: 256"
    )
    options.add_argument(
        "--jobs", type=whole(1, 4096), metavar="N", help="runs seen at once; default: cores"
    )
    options.add_argument("--traceback", action="store_true", help="print the traceback of an error")
    return options
