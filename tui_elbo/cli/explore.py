"""`elbo-tui [SCENARIO]`: the explorer."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_elbo import __version__
from tui_elbo.cli.options import add_engine_options, add_linger, parser, whole
from tui_elbo.model.errors import UsageError
from tui_elbo.model.scenarios import expanded, find_scenario
from tui_elbo.runfile import holds_runs, is_run_file

if TYPE_CHECKING:
    from tui_elbo.client.process import Engine
    from tui_elbo.model.run_table import Row

DESCRIPTION = """\
A debugger for stochastic variational inference in Pyro: step the optimiser,
watch log q(z), log p(x, z), the ELBO and the param store.

  elbo-tui tour                why log p rises while SVI runs, in three minutes
  elbo-tui                     choose a scenario from the gallery
  elbo-tui no_theta            open a scenario of the gallery
  elbo-tui my/model.py         open a file with a `model` and a `guide`
  elbo-tui package.model       open a module
  elbo-tui FILE                go on with a saved run
  elbo-tui DIR                 the runs in a folder side by side (sweep, compare --help)
  elbo-tui run SCENARIO        the same numbers without a screen (run --help)
  elbo-tui check my/model.py   what is wrong with it (check, rule --help)
  elbo-tui explain SCENARIO    what moved log p, log q and the ELBO (explain --help)
  elbo-tui watch train.py      your own training script, as it is (watch --help)
  elbo-tui list                what the gallery has (list --help)
  elbo-tui new PATH            write a scenario to start from (new --help)
  elbo-tui runs                what was left going (runs, attach, end, serve --help)
  elbo-tui completion SHELL    for the tab key (completion --help)
"""

ENGINE_OPTIONS = (
    *("seed", "given", "threads", "device", "checkpoint_memory"),
    *("draws", "lens_in_process", "tolerance"),
)
"""What the engine is started with."""

ENGINE = (sys.executable, "-P", "-m", "tui_elbo.engine")
"""`-P`: nothing in the folder that one happens to be in takes the place of a library."""


def main(words: list[str]) -> int:
    """Open the explorer; returns the exit code.

    Raises:
        UsageError: if there is no such scenario, or no terminal.
    """
    options = parser("elbo-tui", DESCRIPTION)
    options.add_argument(
        "scenario",
        nargs="?",
        help="a gallery name, a path, a module, a saved run, a folder of runs",
    )
    add_engine_options(options)
    options.add_argument(
        "--draws",
        type=whole(0),
        metavar="M",
        help="of the lens; default: 256, fewer one by one; 0: no lens",
    )
    add_linger(options)
    add_screen_options(options)
    options.add_argument("--version", action="version", version=f"elbo-tui {__version__}")
    chosen = options.parse_args(words)
    source = None if chosen.scenario is None else _look_at(chosen.scenario)
    command = f"run {chosen.scenario or 'SCENARIO'}"
    need_a_terminal(
        f"elbo-tui {command if source is None else f'compare {chosen.scenario}'} "
        "prints the same numbers"
    )
    # Imported here, in this order: the engine imports torch while the screen is imported.
    from tui_elbo.client.process import spawn  # noqa: PLC0415

    argv = (*ENGINE, "--linger", str(chosen.linger))
    engine = spawn(argv)
    engine_options = {name: getattr(chosen, name) for name in ENGINE_OPTIONS}
    try:
        return show(chosen.scenario, engine, chosen, argv, source=source, **engine_options)
    finally:
        if source is not None:
            source.close()


class _Folder:
    """A folder of runs, as the workspace reads it."""

    def __init__(self, path: Path) -> None:
        from tui_elbo.many.folder_reader import FolderReader  # noqa: PLC0415 - it imports NumPy

        reader = FolderReader(path)
        self.read, self.file_of, self.close = reader.read, reader.file_of, reader.close
        self.ask, self.add = reader.ask, reader.add

    def compare(self, rows: Sequence[Row]) -> str:
        """The table and the comparison, as the command prints them."""
        from tui_elbo.cli.run_table import table_text  # noqa: PLC0415 - only when it is asked for

        return table_text(rows)


def _look_at(name: str) -> _Folder | None:
    """See that there is such a scenario, or that it is a saved run that can be opened.

    Returns:
        The folder of runs, if that is what it names.

    Raises:
        UsageError: if not.
    """
    if is_run_file(name):
        from tui_elbo.runfile.database import read  # noqa: PLC0415 - it imports NumPy

        read(Path(name))
        return None
    try:
        find_scenario(name)
    except UsageError:
        path = expanded(name)
        if not path.is_dir() or (any(path.glob("*.py")) and not holds_runs(path)):
            raise
        return _Folder(path)
    return None


def attach(path: Path, chosen: argparse.Namespace) -> int:
    """Open the explorer on the live run at this socket; returns the exit code.

    Raises:
        UsageError: if it is ending.
    """
    from tui_elbo.client.attached import Attached  # noqa: PLC0415

    try:
        engine = Attached(path)
    except OSError as error:
        raise UsageError("it is ending", where=path.stem) from error
    return show("", engine, chosen, ENGINE)


def show(
    target: str | None,
    engine: Engine,
    chosen: argparse.Namespace,
    argv: tuple[str, ...],
    *,
    tour: int = 0,
    source: _Folder | None = None,
    **engine_options: Any,
) -> int:
    """Show the run of this engine until the person leaves; returns the exit code."""
    from platformdirs import user_config_path  # noqa: PLC0415

    from tui_elbo.client.preferences import PreferenceStore  # noqa: PLC0415
    from tui_elbo.ui import environment  # noqa: PLC0415

    memory = PreferenceStore(user_config_path("elbo-tui", appauthor=False) / "settings.json")
    environment.prepare(os.environ, memory.settings.theme)
    plain = chosen.ascii
    if plain is None:
        plain = environment.has_little_unicode(os.environ)
    from tui_elbo.client import registry  # noqa: PLC0415
    from tui_elbo.ui.app import Options, run  # noqa: PLC0415

    others = "" if engine.attached else registry.others()
    asked = Options(argv=argv, ascii=plain, memory=memory, others=others, **engine_options)
    mouse = not chosen.no_mouse
    return run(target, asked, engine, mouse=mouse, tour=tour, source=source, folders=_Folder)


def add_screen_options(to: argparse.ArgumentParser) -> None:
    """Add what is about the terminal alone."""
    to.add_argument(
        "--ascii",
        action=argparse.BooleanOptionalAction,
        help="draw without Unicode; default: only where TERM says that there is little",
    )
    to.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")


def need_a_terminal(hint: str) -> None:
    """Be sure that there is a screen to draw on.

    Raises:
        UsageError: if there is none; it says what to do instead.
    """
    from tui_elbo.ui import environment  # noqa: PLC0415

    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError("the explorer needs a terminal, and this is none", hint=hint)
    if environment.is_dumb(os.environ):
        term = os.environ.get("TERM", "")
        what = f"the explorer needs a terminal that can move its cursor, and TERM is {term!r}"
        raise UsageError(what, hint=hint)
