"""`elbo-tui [SCENARIO]`: the explorer."""

from __future__ import annotations

import argparse
import os
import sys

from tui_elbo import __version__
from tui_elbo.cli.options import add_engine_options, parser, whole
from tui_elbo.errors import UsageError
from tui_elbo.scenario import find

DESCRIPTION = """\
A debugger for stochastic variational inference in Pyro: step the optimiser,
watch log q(z), log p(x, z), the ELBO and the param store.

  elbo-tui                     choose a scenario from the gallery
  elbo-tui no_theta            open a scenario of the gallery
  elbo-tui my/model.py         open a file with a `model` and a `guide`
  elbo-tui package.model       open a module
  elbo-tui run SCENARIO        the same numbers without a screen (run --help)
  elbo-tui list                what the gallery has (list --help)
  elbo-tui new PATH            write a scenario to start from (new --help)
"""

ENGINE = (sys.executable, "-P", "-m", "tui_elbo.engine")
"""`-P`: nothing in the folder that one happens to be in takes the place of a library."""


def main(words: list[str]) -> int:
    """Open the explorer; returns the exit code.

    Raises:
        UsageError: if there is no such scenario, or no terminal.
    """
    options = parser("elbo-tui", DESCRIPTION)
    options.add_argument(
        "scenario", nargs="?", help="a gallery name, a path or a module; default: the gallery"
    )
    add_engine_options(options)
    options.add_argument(
        "--draws",
        type=whole(0),
        metavar="M",
        help="of the lens; default: 256, fewer one by one; 0: no lens",
    )
    options.add_argument("--ascii", action="store_true", help="draw without Unicode")
    options.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    options.add_argument("--version", action="version", version=f"elbo-tui {__version__}")
    chosen = options.parse_args(words)
    if chosen.scenario is not None:
        find(chosen.scenario)
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError(
            "the explorer needs a terminal, and this is none",
            todo=f"elbo-tui run {chosen.scenario or 'SCENARIO'} prints the same numbers",
        )
    return _open(chosen)


def _open(chosen: argparse.Namespace) -> int:
    # Imported here, in this order: the engine imports torch while the screen is imported.
    from tui_elbo.ui import environment  # noqa: PLC0415
    from tui_elbo.ui.process import spawn  # noqa: PLC0415

    engine = spawn(ENGINE)
    from platformdirs import user_config_path  # noqa: PLC0415

    from tui_elbo.ui.memory import Memory  # noqa: PLC0415

    memory = Memory(user_config_path("elbo-tui", appauthor=False) / "settings.json")
    environment.prepare(os.environ, memory.settings.theme)
    from tui_elbo.ui.app import Options, run  # noqa: PLC0415

    asked = Options(
        argv=ENGINE,
        seed=chosen.seed,
        threads=chosen.threads,
        device=chosen.device,
        checkpoint_memory=chosen.checkpoint_memory,
        draws=chosen.draws,
        ascii=chosen.ascii,
        memory=memory,
    )
    return run(chosen.scenario, asked, engine, mouse=not chosen.no_mouse)
