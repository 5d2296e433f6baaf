"""`elbo-tui watch SCRIPT`: a training script as it is, with the explorer on it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from tui_elbo.cli import explore
from tui_elbo.cli.options import parser
from tui_elbo.model.errors import UsageError

DESCRIPTION = """\
Run a training script as it is, and show every SVI in it that takes a step.

Python itself runs the script: its arguments, folder, exit code and losses are
those of `python SCRIPT ...`, bit for bit. Its output goes to the output pane
(key o). `d` leaves it running, `elbo-tui attach` shows it again. Its stdin is
its own where that is a file or a pipe; else it reads end of file.

With --headless there is no explorer: the command becomes the script, whose
output goes where it would. A terminal may attach to it later.

Under torchrun and other launchers, rank 0 is watched, and the other processes
become the script as it is:

    torchrun --no-python --nproc-per-node 2 elbo-tui watch --headless SCRIPT

Options of elbo-tui come before SCRIPT; what follows it belongs to the script.
"""


def main(words: list[str]) -> int:
    """Run the script; returns its exit code, or 0 where it was left running.

    Raises:
        UsageError: if there is no such script, or no terminal.
    """
    options = parser("elbo-tui watch", DESCRIPTION)
    options.usage = "elbo-tui watch [options] (SCRIPT | -m MODULE) [ARGS ...]"
    options.add_argument("-m", action="store_true", dest="module", help="SCRIPT is a module")
    options.add_argument("--hold", action="store_true", help="wait before the first step")
    options.add_argument(
        "--headless", action="store_true", help="without a terminal, as in a batch job"
    )
    options.add_argument(
        "--rank", type=int, default=0, metavar="N", help="of a launcher's processes, watch this one"
    )
    explore.add_screen_options(options)
    options.add_argument("script", metavar="SCRIPT", help="a Python file")
    options.add_argument("args", nargs=argparse.REMAINDER, metavar="ARGS", help="of the script")
    chosen = options.parse_args(words)
    name = _named(chosen.script, module=chosen.module)
    argv = [sys.executable, *(["-m"] if chosen.module else []), chosen.script, *chosen.args]
    from tui_elbo.engine.script import launcher  # noqa: PLC0415
    from tui_elbo.engine.script.import_hook import environment  # noqa: PLC0415

    if not launcher.is_watched(chosen.rank):
        sys.stdout.flush()
        os.execv(sys.executable, argv)
    if chosen.headless:
        sys.stdout.flush()
        os.execve(sys.executable, argv, environment(name, hold=chosen.hold))
    has_stdin = not os.isatty(0)
    if has_stdin:
        _need_a_controlling_terminal()
    else:
        explore.need_a_terminal(HINT)
    from tui_elbo.client.process import spawn_script  # noqa: PLC0415

    def surroundings(line: int, output: int) -> dict[str, str]:
        return environment(name, line=line, output=output, hold=chosen.hold)

    engine = spawn_script(argv, surroundings, has_stdin=has_stdin)
    if has_stdin:
        _read_keys_from_terminal()
        explore.need_a_terminal(HINT)
    code = explore.show(Path(name).name, engine, chosen, explore.ENGINE)
    ended = engine.process.poll()
    if ended is None or code:
        return code
    return 128 - ended if ended < 0 else ended


HINT = "elbo-tui watch --headless runs the script without one"


def _named(script: str, *, module: bool) -> str:
    """What names the run.

    Raises:
        UsageError: if there is no such script.
    """
    if module:
        sys.path.insert(0, "")
        try:
            found = importlib.util.find_spec(script.partition(".")[0])
        except (ImportError, ValueError):
            found = None
        finally:
            del sys.path[0]
        if found is None:
            raise UsageError("there is no module of this name", where=script)
        return f"{script.rpartition('.')[2]}.py"
    path = Path(script)
    if not path.exists():
        raise UsageError("there is no such script", where=script)
    return str(path.resolve())


def _need_a_controlling_terminal() -> None:
    """Be sure that the explorer has a terminal besides the script's stdin.

    Raises:
        UsageError: if it has none.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError as error:
        what = "the explorer needs a terminal, and there is none"
        raise UsageError(what, hint=HINT) from error


def _read_keys_from_terminal() -> None:
    """From now on our stdin is the terminal: what it was belongs to the script."""
    terminal = os.open("/dev/tty", os.O_RDWR)
    os.dup2(terminal, 0)
    os.close(terminal)
