"""`elbo-tui new`: writes a scenario to start from, and never over a file."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from tui_elbo.cli.options import parser
from tui_elbo.model.errors import UsageError
from tui_elbo.model.scenarios import expanded
from tui_elbo.model.text import safe

TEMPLATE = Path(__file__).with_name("new_scenario.txt")

DESCRIPTION = """\
Write a scenario to start from: a Pyro file with a model, a guide, and comments
that say what else a scenario may have. It runs as it is. The path of the file
is printed on stdout. No file is ever replaced, and no folder made.
"""

IMPORTED = {"numpy", "pyro", "torch", *sys.stdlib_module_names}
"""A file of such a name is imported in the library's place by whatever lies beside it."""


def main(words: list[str]) -> int:
    """Write the file and print what to run next; returns the exit code.

    Raises:
        UsageError: if it cannot be written there, or something is there already.
    """
    options = parser("elbo-tui new", DESCRIPTION)
    options.add_argument("path", help="where to; `.py` is added where it is missing")
    path = _path(options.parse_args(words).path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.read_text(encoding="utf-8"))
    except FileExistsError:
        hint = f"choose another name; elbo-tui {_quoted(path)} opens what is there"
        raise UsageError("there is a file already", where=str(path), hint=hint) from None
    except (OSError, ValueError) as error:
        raise _unwritable(error, str(path)) from error
    print(safe(str(path)))
    print(
        f"wrote a scenario; open it, press n and space, and change it:\n"
        f"  elbo-tui {safe(_quoted(path))}\n"
        f"the same without a screen:\n"
        f"  elbo-tui run {safe(_quoted(path))}",
        file=sys.stderr,
    )
    return 0


def _path(text: str) -> Path:
    """Where the file is to be.

    Raises:
        UsageError: if no scenario can be there.
    """
    try:
        path = expanded(text)
        if not text.strip() or path.is_dir():
            what = "this is a directory" if text.strip() else "this names no file"
            raise UsageError(what, where=text, hint="name a file, such as my_model.py")
        if text.endswith("/") or not path.parent.is_dir():
            folder = path if text.endswith("/") else path.parent
            hint = f"mkdir -p {shlex.quote(str(folder))} makes it"
            raise UsageError("there is no such folder", where=str(folder), hint=hint)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unwritable(error, text) from error
    if path.suffix and path.suffix != ".py":
        hint = f"name it {path.with_suffix('.py')}"
        raise UsageError("a scenario is a Python file", where=text, hint=hint)
    path = path.with_suffix(".py")
    if path.stem in IMPORTED:
        what = f"a file of this name hides the library `{path.stem}` from what lies beside it"
        raise UsageError(what, where=str(path), hint=f"name it my_{path.name}")
    return path


def _unwritable(error: Exception, where: str) -> UsageError:
    reason = getattr(error, "strerror", None) or error
    return UsageError(f"cannot be written: {reason}", where=where)


def _quoted(path: Path) -> str:
    """As the shell wants it, and as no option: a name that begins with a dash gets a `./`."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
