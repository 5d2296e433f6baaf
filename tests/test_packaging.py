"""The package as others get it: the wheel, the folder's shape, the README's commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel of the working tree is installed."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(wheels)]
    subprocess.run([*pip, *build, str(ROOT)], check=True, cwd=wheels)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    return target


def test_the_wheel_has_the_gallery(installed: Path, tmp_path: Path) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "tui_elbo.cli", "list", "--json"],
        env={"PYTHONPATH": str(installed)},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    entries = json.loads(listed)
    in_checkout = {path.stem for path in (ROOT / "scenarios").glob("*.py")}
    assert {entry["name"] for entry in entries} == in_checkout
    for entry in entries:
        assert Path(entry["path"]).is_relative_to(installed)
        assert Path(entry["path"]).is_file()


def test_the_wheel_has_the_whole_package(installed: Path) -> None:
    def modules(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*.py")}

    gallery = {f"scenarios/{path.name}" for path in (ROOT / "scenarios").glob("*.py")}
    assert modules(installed / "tui_elbo") == modules(ROOT / "tui_elbo") | gallery


def test_the_top_level_has_nothing_else() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\n")
    top = {path.partition("/")[0] for path in tracked if path and not path.startswith(".")}
    assert top == {"README.md", "pyproject.toml", "scenarios", "tests", "tui_elbo"}


def test_the_readme_has_two_commands_of_one_line() -> None:
    run, test = re.findall(r"^    (python3 -m venv .*)$", README, flags=re.MULTILINE)
    for command in (run, test):
        assert "-c tests/constraints.txt" in command
    assert run.endswith("elbo-tui")
    assert test.endswith("pytest")


def test_constraints_pin_every_dependency_within_the_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(
        line.split("==") for line in (ROOT / "tests/constraints.txt").read_text().split() if line
    )
    wanted = project["dependencies"] + project["optional-dependencies"]["test"]
    names = {re.split(r"[<>=\[ ]", requirement)[0].lower() for requirement in wanted}
    assert names <= {name.lower() for name in pins}
    assert pins["torch"] == "2.13.0"
    assert pins["plotext"] == "5.3.2"
    assert pins["textual"] == "8.2.8"
    assert pins["pyro-ppl"] == "1.9.2"


def test_the_oldest_versions_that_are_tested_are_those_that_are_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for dependency in project["dependencies"]:
        name, least = re.match(r"([\w-]+)>=([\d.]+)", dependency).groups()
        pin = pins[name]
        assert re.fullmatch(rf"{re.escape(least)}(\.0)*", pin), f"{dependency} and {name}=={pin}"
