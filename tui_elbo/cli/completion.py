"""`elbo-tui completion`: what a shell has to read so that the tab key completes the command.

The shell then calls the command itself, which answers with what may come next: commands, options,
scenarios of the gallery, live runs, files. argcomplete knows the shells.
"""

from __future__ import annotations

import os
from argparse import Action, ArgumentParser
from collections.abc import Callable, Mapping

from tui_elbo.model.scenarios import gallery

SHELLS = ("bash", "zsh", "fish")

FILES = {"scenario", "path", "save", "saved"}
"""The arguments that take a file."""

DESCRIPTION = """\
Print what a shell has to read so that the tab key completes commands, options, scenarios of the
gallery, live runs and files.
"""


def main(words: list[str]) -> int:
    """Print the shell's code; returns the exit code."""
    from tui_elbo.cli.options import parser  # noqa: PLC0415 - it imports this module

    options = parser("elbo-tui completion", DESCRIPTION)
    options.add_argument("shell", choices=SHELLS, help="which shell reads it")
    chosen = options.parse_args(words)
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - only what it needs

    print(shellcode(["elbo-tui"], shell=chosen.shell))
    return 0


def is_asked() -> bool:
    """Whether a shell asks how its command line goes on."""
    return "_ARGCOMPLETE" in os.environ


def command_of_line(commands: Mapping[str, str]) -> str:
    """The command that is complete on the shell's line, taken off it; empty if there is none."""
    skipped = int(os.environ["_ARGCOMPLETE"])
    before = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    typed = before.split()[skipped:]
    # The word at the cursor is still being typed.
    whole = typed if before[-1:].isspace() else typed[:-1]
    if not whole or whole[0] not in commands:
        return ""
    os.environ["_ARGCOMPLETE"] = str(skipped + 1)
    return whole[0]


def complete(parser: ArgumentParser) -> None:
    """Answer the shell that asks, and exit."""
    from argcomplete import autocomplete  # noqa: PLC0415 - only for a shell that asks

    for action in parser._actions:
        if not action.choices:
            action.completer = _completer(action, parser.prog)  # type: ignore[attr-defined]
    autocomplete(parser, always_complete_options=False)


Completer = Callable[..., list[str]]


def _completer(action: Action, prog: str) -> Completer:
    from argcomplete.completers import FilesCompleter  # noqa: PLC0415

    def names(prefix: str, **_: object) -> list[str]:
        found: list[str] = []
        if action.dest == "scenario":
            found = [entry.name for entry in gallery()]
        if action.dest == "scenario" and prog == "elbo-tui":
            from tui_elbo.cli import COMMANDS  # noqa: PLC0415 - it imports this module

            found = [*COMMANDS, *found]
        elif action.metavar == "ID":
            found = _live_runs()
        files = FilesCompleter()(prefix) if action.dest in FILES else ()
        return [*(name for name in found if name.startswith(prefix)), *files]

    return names


def _live_runs() -> list[str]:
    from tui_elbo.model.errors import UsageError  # noqa: PLC0415
    from tui_elbo.protocol import runtime_dir  # noqa: PLC0415

    try:
        return [path.stem for path in runtime_dir.socket_paths()]
    except (UsageError, OSError):
        return []
