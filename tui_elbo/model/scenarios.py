"""Naming and listing scenarios: plain Pyro files with a `model` and a `guide`.

A scenario is named by a gallery name (`no_theta`), a path (`my/model.py`) or a module
(`pkg.model`). Here the files are found and read, and nothing is imported; the engine executes
them (`tui_elbo.engine.scenario`, which also says what a file may set).
"""

from __future__ import annotations

import ast
import difflib
import os
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from tui_elbo.model.errors import UsageError

MAX_SEED = 2**32 - 1
"""NumPy takes no larger seed."""

CHECKPOINT_MEMORY = 64 * 2**20
"""Default bytes for checkpoints."""

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "The question",
        (
            "no_theta",
            "fixed_mean_guide",
            "learned_prior",
            "hyperprior_map",
            "prior_collapse",
            "network",
        ),
    ),
    (
        "Right and wrong answers",
        (
            "coin",
            "coin_map",
            "conjugate_normal",
            "exponential_mle",
            "regression",
            "regression_full_rank",
            "minibatch",
            "two_modes",
            "eight_schools",
            "eight_schools_non_centred",
        ),
    ),
)
"""The groups of the gallery and the order in them; `TROUBLE` comes after them."""

TROUBLE = "Trouble"
"""The group of every scenario that no other group names, by name: what goes wrong, and why."""

_LIST = "`elbo-tui list` shows the gallery; a path or a module name work as well"


@dataclass(frozen=True)
class GalleryEntry:
    """A scenario of the gallery, as read from its file without executing it."""

    name: str
    title: str
    """The docstring's first line."""
    summary: str
    """The first paragraph of the notes, on one line."""
    path: Path
    group: str = TROUBLE
    """The heading that it is listed under."""


@dataclass(frozen=True)
class ScenarioFile:
    """Where a scenario's code is."""

    name: str
    """The gallery name, the file's name or the module."""
    path: Path
    module: str | None
    """The dotted name when it was named as a module."""
    root: Path
    """The folder to import from; modules in `own` below it are executed again with the file."""
    own: Path
    """The file's own folder, or the folder of its top package."""


def gallery_folder() -> Path:
    """Where the gallery's files are: in the installed package, or beside it in a checkout."""
    installed = Path(__file__).parents[1] / "scenarios"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "scenarios"


def gallery_files() -> list[Path]:
    """The gallery's files, by name."""
    return sorted(gallery_folder().glob("*.py"))


def gallery() -> list[GalleryEntry]:
    """Every scenario of the gallery, group by group. Reads the files, imports nothing."""
    files = {path.stem: path for path in gallery_files()}
    grouped = [(group, name) for group, names in GROUPS for name in names if name in files]
    named = {name for _, name in grouped}
    grouped += [(TROUBLE, name) for name in files if name not in named]
    entries = []
    for group, name in grouped:
        title, notes = read_docstring(files[name])
        summary = " ".join(notes.split("\n\n", 1)[0].split())
        entries.append(GalleryEntry(name, title, summary, files[name], group))
    return entries


def read_docstring(path: Path) -> tuple[str, str]:
    """The title and the notes (Markdown) of a file, from its docstring; empty where it has none."""
    try:
        docstring = ast.get_docstring(ast.parse(path.read_bytes()))
    except (SyntaxError, ValueError, OSError, MemoryError, RecursionError):
        return f"({path.name} does not parse)", ""
    return split_docstring(docstring)


def split_docstring(docstring: str | None) -> tuple[str, str]:
    """A docstring's first line, and the rest."""
    title, _, notes = (docstring or "").strip().partition("\n")
    return title.strip(), notes.strip()


def expanded(path: str | Path) -> Path:
    """The path, with the home folder for a `~`.

    Raises:
        UsageError: if there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        what = "there is no home folder of this name"
        raise UsageError(what, where=str(path), hint="write the whole path") from error


def find_scenario(target: str) -> ScenarioFile:
    """Where the code of the scenario named `target` is. Imports nothing.

    Raises:
        UsageError: if there is no such scenario, path or module.
    """
    target = target.strip()
    if not target:
        raise UsageError("a scenario needs a name", hint=_LIST)
    try:
        return _find(target)
    except (OSError, RuntimeError, ValueError) as error:
        # No permission, a name too long, a `~user` that is nobody, a folder that is gone.
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(what, where=target, hint=_LIST) from error


def _find(target: str) -> ScenarioFile:
    if not _is_path(target):
        for path in gallery_files():
            if path.stem == target:
                return ScenarioFile(target, path, None, path.parent, path.parent)
        source = _find_module(target)
        if source is not None:
            return source
    return _find_file(target)


def _find_file(target: str) -> ScenarioFile:
    path = expanded(target)
    if path.is_dir():
        files = ", ".join(sorted(file.name for file in path.glob("*.py"))[:5])
        hint = f"name a file in it, such as {files}" if files else "name a Python file"
        raise UsageError("this is a directory, not a scenario", where=target, hint=hint)
    if path.is_file():
        path = path.resolve()
        return ScenarioFile(path.name, path, None, path.parent, path.parent)
    raise UsageError(
        "there is no such file" if _is_path(target) else "there is no scenario of this name",
        where=target,
        hint=_nearest(target),
    )


def _is_path(target: str) -> bool:
    return os.sep in target or target.endswith(".py")


def _nearest(target: str) -> str:
    names = [entry.name for entry in gallery()]
    names += [str(path) for path in expanded(target).parent.glob("*.py")]
    lower = {name.lower(): name for name in names}
    close = [
        lower[name] for name in difflib.get_close_matches(target.lower(), lower, n=3, cutoff=0.6)
    ]
    if close:
        return f"did you mean {' or '.join(close)}?"
    return _LIST


def _find_module(name: str) -> ScenarioFile | None:
    """The module's file, found the way `import` would, without importing its packages."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    search = [str(Path.cwd()), *sys.path]
    specs: list[ModuleSpec] = []
    for part in parts:
        spec = PathFinder.find_spec(part, search)
        if spec is None:
            return None
        specs.append(spec)
        search = list(spec.submodule_search_locations or ())
    origin = specs[-1].origin
    if origin is None or not origin.endswith(".py"):
        return None
    path, folders = Path(origin), specs[0].submodule_search_locations
    if folders is None:
        return ScenarioFile(name, path, name, path.parent, path.parent)
    own = next(folder for folder in map(Path, folders) if path.is_relative_to(folder))
    return ScenarioFile(name, path, name, own.parent, own)
