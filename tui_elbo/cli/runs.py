"""`elbo-tui runs`: the live runs, and how they stand."""

from __future__ import annotations

import sys
from datetime import datetime

import msgspec

from tui_elbo.cli.options import parser
from tui_elbo.client import registry
from tui_elbo.client.registry import Found
from tui_elbo.model.text import safe

HEADER = ("id", "scenario", "step", "state", "since", "memory", "ends in", "pid")

DESCRIPTION = """\
The runs that are alive, with a terminal or without.

`elbo-tui attach ID` shows one, `elbo-tui end ID` ends it. `ends in` is for how long one that
stands still without a terminal waits for the next.
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
    if not found:
        print(f"elbo-tui: there is no live run; {registry.START}", file=sys.stderr)
        return 0
    rows = [HEADER, *map(row, found)]
    widths = [max(len(line[i]) for line in rows) for i in range(len(HEADER))]
    for line in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
    return 0


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
    since = datetime.fromtimestamp(stands.since).strftime("%Y-%m-%d %H:%M")
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
