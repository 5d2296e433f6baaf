"""The table of many runs: what differs between them, and how far each is from the best."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from tui_elbo.model.comparison import compare_settings
from tui_elbo.model.estimate import with_error
from tui_elbo.model.run_table import (
    Apart,
    Row,
    by_setting,
    columns,
    gaps,
    label,
    models,
    modes_notes,
    shown,
)
from tui_elbo.model.text import safe
from tui_elbo.model.verdict import Estimate


def table_text(rows: Sequence[Row], apart: Apart = lambda *_: None) -> str:
    """The table, what is not compared and why, and the comparison of the settings over seeds."""
    text = _aligned(table_cells(rows), left={*columns(rows), "verdict", "findings"})
    notes = table_notes(rows)
    parts = [
        [*text, *([""] if notes else []), *notes],
        modes_notes(rows, apart),
        settings_notes(rows),
    ]
    return "\n".join("\n".join(part) + "\n" for part in parts if part)


def table_cells(rows: Sequence[Row]) -> list[list[str]]:
    """The head of the table, and its rows."""
    groups, _ = models(rows)
    below = gaps(rows, groups)
    names = columns(rows)
    found = ["findings"] if any(row.standing for row in rows) else []
    head = [*names, "step", "ELBO (nats)", "below the best", "k̂", "verdict", *found, "seconds"]
    lines = [head]
    for index, row in enumerate(rows):
        gap = below.get(index)
        lines.append(
            [
                *(shown(row.run.get(name)) for name in names),
                str(row.step),
                _estimate(row.evaluation.elbo),
                "" if gap is None else "best" if gap.value == 0 == gap.mcse else _estimate(gap),
                "" if math.isnan(row.evaluation.khat) else f"{row.evaluation.khat:.2f}",
                row.state,
                *([row.findings_text] if found else []),
                f"{row.seconds:.1f}",
            ]
        )
    return lines


def table_notes(rows: Sequence[Row]) -> list[str]:
    """What is to be known of single runs, and what is not compared and why."""
    names, (_, reasons) = columns(rows), models(rows)
    notes = [f"{label(row, names)}: {safe(row.note)}" for row in rows if row.note]
    notes += _findings(rows, names)
    notes += [
        f"{label(row, names)}: no ELBO, since {safe(row.evaluation.problem)}"
        for row in rows
        if row.evaluation.problem and row.ended not in {"not finite", "failed", "dropped"}
    ]
    return notes + [f"not all are compared: {safe(why)}" for why in reasons]


def _findings(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """The errors and warnings that stand, each rule once for all the runs that it is of."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for one in row.standing:
            found.setdefault((one.code, one.message), []).append(label(row, names))
    return [
        f"{code}: {safe(text)} ({where[0] if len(where) == 1 else f'{len(where)} runs'})"
        for (code, text), where in found.items()
    ]


def settings_notes(rows: Sequence[Row]) -> list[str]:
    """The comparison of the settings, with the seeds as the unit; empty where there is none."""
    groups = {one.label: one.evaluations for one in by_setting(rows) if one.evaluations}
    if len(groups) < 2 or max(map(len, groups.values())) < 2:
        return []
    made, left_out = compare_settings(groups)
    lines = [f"{one}." for one in sorted(made, key=lambda one: -one.difference)]
    if len(made) > 1:
        lines.append(f"The intervals hold for these {len(made)} comparisons together (Holm).")
    if any(row.ended == "dropped" for row in rows):
        lines.append("Runs that were dropped count as they stood when they were.")
    return [*lines, *dict.fromkeys(left_out)]


def table_records(rows: Sequence[Row]) -> list[dict[str, float | int | str | None]]:
    """The table, a record a run, all with the same names; None where there is no such number."""
    groups, _ = models(rows)
    below = gaps(rows, groups)
    names = [*dict.fromkeys(name for row in rows for name in row.run)]
    found = []
    for index, row in enumerate(rows):
        gap = below.get(index, Estimate(math.nan, math.nan))
        elbo = row.evaluation.elbo
        one: dict[str, float | int | str | None] = {name: row.run.get(name) for name in names}
        one |= {
            "step": row.step,
            "loss": _finite(row.loss),
            "elbo": _finite(elbo.value),
            "elbo_mcse": _finite(elbo.mcse),
            "gap": _finite(gap.value),
            "gap_mcse": _finite(gap.mcse),
            "k_hat": _finite(row.evaluation.khat),
            "verdict": row.verdict,
            "ended": row.ended,
            "findings": " ".join(one.code for one in row.standing),
            "seconds": row.seconds,
            "file": row.file,
            "note": safe(row.note),
        }
        found.append(one)
    return found


def csv_text(rows: Sequence[Row]) -> str:
    """The table as CSV; a cell is empty where there is no such number."""
    found = table_records(rows)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(found[0])
    writer.writerows([_cell(value) for value in one.values()] for one in found)
    return out.getvalue()


def _cell(value: float | int | str | None) -> float | int | str:
    return "" if value is None else repr(value) if isinstance(value, float) else value


def record(row: Row) -> dict[str, Any]:
    """The run as `--json` prints it."""
    elbo = row.evaluation.elbo
    return {
        "run": dict(row.run),
        "step": row.step,
        "loss": _finite(row.loss),
        "elbo": {"value": _finite(elbo.value), "mcse": _finite(elbo.mcse)},
        "k_hat": _finite(row.evaluation.khat),
        "verdict": row.verdict,
        "ended": row.ended,
        "findings": [one.code for one in row.standing],
        "seconds": row.seconds,
        "file": row.file,
        "note": row.note,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _estimate(one: Estimate) -> str:
    if not math.isfinite(one.value):
        return ""
    if not math.isfinite(one.mcse):
        return f"{one.value:.4f}"
    return with_error(one.value, one.mcse)


def _aligned(lines: Sequence[Sequence[str]], left: set[str]) -> list[str]:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if name in left else cell.rjust(width)
            for cell, width, name in zip(line, widths, lines[0], strict=True)
        ).rstrip()
        for line in lines
    ]
