"""`elbo-tui tour`: why log p rises while SVI runs, in five scenarios."""

from __future__ import annotations

from tui_elbo.cli.explore import ENGINE, add_screen_options, need_a_terminal, show
from tui_elbo.cli.options import parser
from tui_elbo.model.tour import STOPS

LINGER = 3600.0
"""Seconds that a run of the tour waits when its terminal is lost."""

DESCRIPTION = """\
My model has no pyro.param: why does log p(x, z) rise while SVI runs? The answer in five scenarios
and three minutes: it says what to press, you see what happens, and it says what you saw.
Any key that it does not ask for leaves the tour.

  elbo-tui tour
  elbo-tui tour 3              begin at the third scenario
  elbo-tui tour --ascii        on a terminal without Unicode
"""


def main(words: list[str]) -> int:
    """Show the tour; returns the exit code.

    Raises:
        UsageError: if there is no terminal.
    """
    options = parser("elbo-tui tour", DESCRIPTION)
    add_screen_options(options)
    options.add_argument(
        "stop",
        nargs="?",
        type=int,
        default=1,
        choices=range(1, len(STOPS) + 1),
        metavar="STOP",
        help=f"the scenario to begin at, 1 to {len(STOPS)}",
    )
    chosen = options.parse_args(words)
    need_a_terminal("elbo-tui explain no_theta prints the answer for the first scenario")
    from tui_elbo.client.process import spawn  # noqa: PLC0415 - only what a command needs

    argv = (*ENGINE, "--linger", str(LINGER))
    return show(None, spawn(argv), chosen, argv, tour=chosen.stop)
