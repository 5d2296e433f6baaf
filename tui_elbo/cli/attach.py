"""`elbo-tui attach`: the explorer on a live run, its whole history included."""

from __future__ import annotations

from tui_elbo.cli import explore
from tui_elbo.cli.options import parser
from tui_elbo.client import registry

DESCRIPTION = """\
Show a live run: one that was detached from or cut off, one of `elbo-tui serve`,
or a script that calls `tui_elbo.watch`.

A terminal that shows it already is detached from it, with a message.
"""


def main(words: list[str]) -> int:
    """Open the explorer; returns the exit code.

    Raises:
        UsageError: if there is no such run, or no terminal.
    """
    options = parser("elbo-tui attach", DESCRIPTION)
    options.add_argument(
        "id", nargs="?", metavar="ID", help="as `elbo-tui runs` prints it; default: the only one"
    )
    explore.add_screen_options(options)
    chosen = options.parse_args(words)
    path = registry.choose(chosen.id)
    with registry.called(path):
        pass
    explore.need_a_terminal("`elbo-tui runs` prints its state")
    return explore.attach(path, chosen)
