"""`elbo-tui end`: end live runs."""

from __future__ import annotations

import sys

from tui_elbo.cli.options import parser
from tui_elbo.client import registry
from tui_elbo.model.errors import UsageError

DESCRIPTION = """\
End live runs; their numbers are lost.

  elbo-tui end no_theta        one of them, by the name that `elbo-tui runs` prints
  elbo-tui end a b c           several
  elbo-tui end --all           all but those of scripts, which end where they run
"""


def main(words: list[str]) -> int:
    """End them; returns the exit code.

    Raises:
        UsageError: if none is named, there is no such run, or one cannot be ended.
    """
    options = parser("elbo-tui end", DESCRIPTION)
    options.add_argument("id", nargs="*", metavar="ID", help="as `elbo-tui runs` prints it")
    options.add_argument("--all", action="store_true", help="every run but those of scripts")
    chosen = options.parse_args(words)
    if chosen.all == bool(chosen.id):
        raise UsageError("which run?", hint="name one or several, or say --all; not both")
    if chosen.all:
        found = registry.runs()
        ids = [run.id for run in found if run.status is None or not run.status.watched]
        if not ids:
            print("elbo-tui: there is no live run to end", file=sys.stderr)
    else:
        ids = list(dict.fromkeys(chosen.id))
    paths = [registry.choose(id) for id in ids]
    failed = None
    for path in paths:
        try:
            registry.end(path)
        except UsageError as error:
            if len(paths) == 1:
                raise
            print(f"elbo-tui: {error}", file=sys.stderr)
            failed = error
        else:
            print(f"elbo-tui: {path.stem} has ended", file=sys.stderr)
    return failed.exit_code if failed is not None else 0
