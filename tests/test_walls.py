"""Imports run one way, folder by folder; and each heavy or private import has its place."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tui_elbo

ROOT = Path(tui_elbo.__file__).parent
SCREEN = {"textual", "rich", "plotext", "tui_elbo.ui"}
ENGINE = {"torch", "pyro", "tui_elbo.engine"}
FILES = sorted(path for path in ROOT.rglob("*.py") if "scenarios" not in path.parts)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, everywhere: bool = True) -> set[str]:
    """The full names that a file imports; only those of its top level if not everywhere.

    `from a import b` gives both `a` and `a.b`; what is under `if TYPE_CHECKING` counts as well.
    """
    tree = ast.parse(path.read_bytes())
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    package = module_of(path).split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            found |= {name} | {f"{name}.{alias.name}" for alias in node.names}
    return found


def crossed(names: set[str], forbidden: set[str]) -> set[str]:
    """Those of the names that are, or lie in, what is forbidden."""
    return {n for n in names for bad in forbidden if n == bad or n.startswith(f"{bad}.")}


FOLDERS: dict[str, set[str]] = {
    "model": set(),
    "protocol": {"model"},
    "runfile": {"model", "protocol"},
    "client": {"model", "protocol"},
    "engine": {"model", "protocol", "runfile"},
    "ui": {"client", "model", "protocol"},
    "many": {"engine", "runfile", "model", "protocol"},
    "cli": {"ui", "client", "engine", "many", "runfile", "model", "protocol"},
}
"""What each folder may import of the others."""

LIBRARIES: dict[str, set[str]] = {
    "engine": {"textual", "rich", "plotext"},
    "many": {"torch", "pyro", "textual", "rich", "plotext"},
    "ui": {"torch", "pyro"},
    "cli": {"torch", "pyro", "textual", "rich", "plotext"},
}
"""Libraries that a folder must not import; all other folders import none of these."""

ALL_LIBRARIES = {"torch", "pyro", "textual", "rich", "plotext"}


def folder_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def forbidden(module: str) -> set[str]:
    """What a module must not import."""
    folder = folder_of(module)
    if not folder:
        # `watch` imports the engine when it is called.
        return ALL_LIBRARIES | {f"tui_elbo.{other}" for other in FOLDERS if other != "engine"}
    others = FOLDERS.keys() - FOLDERS[folder] - {folder}
    return {f"tui_elbo.{other}" for other in others} | LIBRARIES.get(folder, ALL_LIBRARIES)


def test_every_folder_has_its_imports_listed() -> None:
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    assert folders - {"scenarios"} == FOLDERS.keys()


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_import_crosses_a_wall(path: Path) -> None:
    assert crossed(imports(path), forbidden(module_of(path))) == set()


def is_private(name: str, libraries: tuple[str, ...] = ("torch", "pyro", "textual")) -> bool:
    """Whether it is a module or a name of one of these libraries that begins with an underscore."""
    library, *parts = name.split(".")
    return library in libraries and any(p.startswith("_") and p[:2] != "__" for p in parts)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_private_names_of_libraries_are_imported_by_compat_files_only(path: Path) -> None:
    if "compat" not in path.parts:
        assert {name for name in imports(path) if is_private(name)} == set()


PANE_PARTS = {
    "tui_elbo.ui.panes.totals": "tui_elbo.ui.panes.curve",
}
"""The running totals extend the curve pane."""


@pytest.mark.parametrize("path", sorted((ROOT / "ui" / "panes").glob("*.py")), ids=module_of)
def test_a_pane_knows_no_other_pane_and_no_screen(path: Path) -> None:
    own = module_of(path)
    others = {module_of(pane) for pane in (ROOT / "ui" / "panes").glob("*.py")}
    others -= {own, "tui_elbo.ui.panes", PANE_PARTS.get(own, own)}
    screens = {"tui_elbo.ui.app", "tui_elbo.ui.gallery", "tui_elbo.ui.explorer", "textual.screen"}
    assert crossed(imports(path), others | screens) == set()


def test_plotext_is_met_by_one_module() -> None:
    users = [module_of(path) for path in FILES if crossed(imports(path), {"plotext"})]
    assert len(users) == 1


def test_the_command_loads_only_what_is_asked_for() -> None:
    """At its top level the entry point imports neither torch nor the screen."""
    for name in ("__init__.py", "__main__.py", "explore.py", "list.py", "options.py"):
        found = imports(ROOT / "cli" / name, everywhere=False)
        assert crossed(found, (ENGINE | SCREEN) - {"tui_elbo.ui"}) == set(), name


def test_nothing_is_pickled() -> None:
    for path in FILES:
        assert crossed(imports(path), {"pickle", "shelve", "marshal", "cloudpickle"}) == set()


LOADED = """
import importlib, json, sys
for name in {names!r}: importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""


def loaded_by(names: list[str]) -> set[str]:
    """What a fresh process has in `sys.modules` after importing these."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADED.format(names=names)], capture_output=True, check=True
    )
    return set(json.loads(ran.stdout.splitlines()[-1]))


def test_importing_the_screen_leaves_the_engine_out() -> None:
    names = [module_of(path) for path in FILES if module_of(path).startswith("tui_elbo.ui")]
    assert "tui_elbo.ui" in names
    assert crossed(loaded_by(names), ENGINE) == set()


def test_importing_the_engine_leaves_the_screen_out() -> None:
    names = [module_of(path) for path in FILES if module_of(path).startswith("tui_elbo.engine")]
    names.remove("tui_elbo.engine.__main__")
    assert "tui_elbo.engine.server.process" in names
    assert crossed(loaded_by(names), SCREEN) == set()


def test_what_both_sides_share_needs_neither() -> None:
    names = [module_of(path) for path in FILES if path.parent == ROOT]
    assert crossed(loaded_by(names), ENGINE | SCREEN) == set()


MAPPED = """
import sys
from tui_elbo.cli import main
code = main({words!r})
assert code == {code}, code
print("torch" in open("/proc/self/maps").read() or "torch" in sys.modules)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("words", "code"), [(["list"], 0), (["list", "--json"], 0), (["run", "nothing"], 2)]
)
def test_the_terminal_process_maps_no_libtorch(words: list[str], code: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", MAPPED.format(words=words, code=code)],
        capture_output=True,
        check=True,
        text=True,
    )
    assert ran.stdout.splitlines()[-1] == "False"
