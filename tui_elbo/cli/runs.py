"""`elbo-tui runs`: the live runs, and how they stand."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import datetime

import msgspec

from tui_elbo.cli.options import parser
from tui_elbo.client import registry
from tui_elbo.client.registry import Found
from tui_elbo.model.text import safe
from tui_elbo.protocol import runtime_dir

HEADER = ("id", "scenario", "step", "state", "since", "memory", "ends in", "pid")

FIRST_OUT = ("memory", "ends in", "scenario", "since")
"""Columns that a narrow terminal has no room for, the first to go first."""

DESCRIPTION = """\
The runs that are alive, with a terminal or without.

`elbo-tui attach ID` shows one, `elbo-tui end ID` ends it. `ends in` is for how long one that
stands still without a terminal waits for the next. A script that has ended within a day while
no terminal was there is named on stderr. A narrow terminal gets fewer columns.
"""


def main(words: list[str]) -> int:
    """Print them; returns the exit code.

    Raises:
        UsageError: if there is no folder for them.
    """
    options = parser("elbo-tui runs", DESCRIPTION)
    options.add_argument("--json", action="store_true", help="as JSON")
    if options.parse_args(words).json:
        records = [plain(run) for run in registry.runs()]
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(records), indent=2) + b"\n")
        return 0
    # A locale of old may lack the letters.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    found = registry.runs()
    over = [safe(f"elbo-tui: {run.id}: {run.text}") for run in runtime_dir.ended()]
    if not found:
        over.insert(0, f"elbo-tui: there is no live run; {registry.START}")
        print("\n".join(over), file=sys.stderr)
        return 0
    width = os.get_terminal_size(1).columns if os.isatty(1) else None
    print("\n".join(table([HEADER, *map(row, found)], width)))
    print(*over, sep="\n", end="\n" * bool(over), file=sys.stderr)
    return 0


def table(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """The lines of the table, the header first.

    Args:
        rows: of cells, the header among them.
        width: cells that a line may take, as far as leaving out some columns helps; None for any.
    """
    shown = list(range(len(HEADER)))
    for last in ("", *FIRST_OUT):
        shown = [i for i in shown if HEADER[i] != last]
        widths = [max(len(line[i]) for line in rows) for i in shown]
        if width is None or sum(widths) + 2 * (len(shown) - 1) <= width:
            break
    return [
        "  ".join(
            line[i] + " " * (size - len(line[i])) for i, size in zip(shown, widths, strict=True)
        ).rstrip()
        for line in rows
    ]


def plain(found: Found) -> dict[str, object]:
    """A run as it is printed in JSON; what is not known is null."""
    stands = found.status
    if stands is None:
        nothing = dict.fromkeys(
            (*HEADER[1:6], "pid", "path", "target", "attached", "watched", "steps", "left")
        )
        return {"id": found.id} | nothing | {"why": found.why}
    records = msgspec.structs.asdict(stands)
    since = datetime.fromtimestamp(stands.since).astimezone().isoformat(timespec="seconds")
    return records | {"since": since}


def row(found: Found) -> tuple[str, ...]:
    """A run as a line of the table."""
    stands = found.status
    if stands is None:
        return (found.id, "", "", found.why, *([""] * (len(HEADER) - 4)))
    state = stands.state
    if stands.state == "running" and stands.target is not None:
        state += f" to {stands.target}"
    if stands.watched:
        state += ", a script"
    if stands.attached:
        state += ", attached"
    began = datetime.fromtimestamp(stands.since)
    since = began.strftime("%H:%M" if began.date() == datetime.now().date() else "%m-%d %H:%M")
    scenario = safe(stands.scenario) or "(loading)"
    step = str(stands.step)
    if stands.steps:
        # A count before n, or `u`, takes a run further than its scenario says.
        step += f"{', past' if stands.step > stands.steps else ' of'} {stands.steps}"
    memory = f"{stands.memory / 2**20:.0f} MB" if stands.memory else ""
    return (found.id, scenario, step, state, since, memory, _time(stands.left), str(stands.pid))


def _time(seconds: float | None) -> str:
    """A duration in its largest unit; empty for none."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
