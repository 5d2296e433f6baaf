"""`elbo-tui end`: end a live run."""

from __future__ import annotations

import sys

from tui_elbo.cli.options import parser
from tui_elbo.client import registry


def main(words: list[str]) -> int:
    """End it; returns the exit code.

    Raises:
        UsageError: if there is no such run, or it cannot be ended.
    """
    options = parser("elbo-tui end", "End a live run; its numbers are lost.")
    options.add_argument("id", metavar="ID", help="as `elbo-tui runs` prints it")
    path = registry.choose(options.parse_args(words).id)
    registry.end(path)
    print(f"elbo-tui: {path.stem} has ended", file=sys.stderr)
    return 0
