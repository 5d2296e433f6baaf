"""Where in a person's own code something went wrong, and the traceback without our frames."""

from __future__ import annotations

import ast
import os
import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui_elbo.model.errors import ElboError

_LIBRARY = sysconfig.get_path("stdlib") + os.sep
_OURS = str(Path(__file__).parents[1]) + os.sep

MAX_LINE, MAX_MESSAGE, MAX_TRACE = 500, 4000, 100_000
"""Characters of an error's first line, its message and its traceback that are kept."""

SHAPES = "Trace Shapes:"
"""With this line a table begins that Pyro appends to errors inside of a model."""

_SITE = re.compile(r"\bsite ['\"]([^'\"]+)['\"]")


def interrupted(error: KeyboardInterrupt, own: Path | None, step: int | None) -> ElboError:
    """What was interrupted.

    Args:
        error: as it was caught.
        own: the scenario's own folder.
        step: at which the run stands; None if none does.
    """
    what, hint = "loading was interrupted", "R loads it again"
    if step is not None:
        what = f"step {step + 1} was interrupted"
        hint = f"the run stays at step {step}; e shows where it was"
    where = "" if own is None else place(error, own)
    return ElboError(what, where=where, hint=hint, traceback=trimmed(error))


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if not _is_ours(frame.filename)]


def _is_ours(filename: str) -> bool:
    in_package = filename.startswith((_OURS, "<frozen importlib"))
    return in_package and not filename.startswith(_OURS + "scenarios")


def _is_the_persons(filename: str) -> bool:
    in_library = {"site-packages", "dist-packages"} & set(Path(filename).parts)
    return not in_library and not filename.startswith(("<", _LIBRARY))


def place(error: BaseException, own: Path) -> str:
    """`file:line` of the innermost frame in the person's own files; empty if none is."""
    for frame in reversed(_own_frames(error)):
        path = Path(frame.filename)
        if path.is_relative_to(own) and "site-packages" not in path.parts:
            return f"{frame.filename}:{frame.lineno}"
    return ""


def place_of_site(error: BaseException, source: Path) -> str:
    """`file:line` of the `pyro.sample` of the site that the message names; empty if there is none.

    Pyro computes log_prob after the model has returned: then no frame is in the person's file.
    """
    found = _SITE.search(error_text(error))
    if found is None:
        return ""
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError, OSError, MemoryError, RecursionError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _is_sample(node.func):
            name = node.args[0]
            if isinstance(name, ast.Constant) and name.value == found[1]:
                return f"{source}:{node.lineno}"
    return ""


def _is_sample(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else ""
    return "sample" in (name, function.id if isinstance(function, ast.Name) else "")


def trimmed(error: BaseException) -> str:
    """The traceback as text: from where it enters the person's code, without our own frames."""
    told = traceback.TracebackException.from_exception(error)
    link: traceback.TracebackException | None = told
    while link is not None:
        kept = [frame for frame in link.stack if not _is_ours(frame.filename)]
        entered = (i for i, frame in enumerate(kept) if _is_the_persons(frame.filename))
        link.stack = traceback.StackSummary.from_list(kept[next(entered, 0) :])
        link = link.__cause__ or link.__context__
    text = "".join(told.format()).rstrip()
    if len(text) <= MAX_TRACE:
        return text
    half = MAX_TRACE // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters …\n{text[-half:]}"


def shown(value: Any, show: Callable[[Any], str] = repr) -> str:
    """An object of the user's as text; its own `__repr__` or `__str__` may raise."""
    try:
        return show(value)
    except Exception as error:
        return f"<{type(value).__name__}, which cannot be shown: {type(error).__name__}>"


def error_text(error: BaseException) -> str:
    """The error in one line: its class, and the first line of its message if it has one."""
    lines = _message_lines(error)
    return f"{type(error).__name__}: {lines[0][:MAX_LINE]}" if lines else type(error).__name__


def message(error: BaseException) -> str:
    """The class of the error and its whole message, as one line.

    Many libraries say what to do in the lines after the first. Pyro's table of shapes is left to
    the traceback.
    """
    lines = _message_lines(error)
    if SHAPES in lines:
        lines = lines[: lines.index(SHAPES)]
    text = "".join(
        f"{line} " if line.endswith((":", ",", ";", ".")) else f"{line}; " for line in lines
    )[:-1].removesuffix(";")
    name = type(error).__name__
    if len(text) > MAX_MESSAGE:
        text = f"{text[:MAX_MESSAGE]}…"
    return f"{name}: {text}" if text else name


def _message_lines(error: BaseException) -> list[str]:
    """The lines of its message that are not blank."""
    try:
        return [line.strip() for line in str(error).splitlines() if line.strip()]
    except Exception:
        return ["(its message cannot be shown)"]
