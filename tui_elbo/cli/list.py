"""`elbo-tui list`: the gallery, read without importing any of it."""

from __future__ import annotations

import sys
from itertools import groupby

import msgspec

from tui_elbo.cli.options import parser
from tui_elbo.model.scenarios import gallery


def main(words: list[str]) -> int:
    """Print the gallery; returns the exit code."""
    options = parser("elbo-tui list", "The scenarios of the gallery.")
    options.add_argument("--json", action="store_true", help="name, group, title and path as JSON")
    entries = gallery()
    if options.parse_args(words).json:
        records = [
            {
                "name": entry.name,
                "group": entry.group,
                "title": entry.title,
                "path": str(entry.path),
            }
            for entry in entries
        ]
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(records), indent=2) + b"\n")
        return 0
    # A locale of old may lack the letters.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    width = max((len(entry.name) for entry in entries), default=0)
    for group, grouped in groupby(entries, lambda entry: entry.group):
        print(f"# {group}")
        for entry in grouped:
            print(f"{entry.name:{width}}  {entry.title}")
    return 0
