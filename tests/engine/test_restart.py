"""A restart executes the file again, with the modules from its own folder or package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from tests.engine.plain import plain_run
from tests.engine.sources import SMALL, write
from tui_elbo.engine.session import Session

USES_HELPER = SMALL.replace("torch.tensor(0.5)", "torch.tensor(helper.x)")
LAYOUTS = {
    "beside": ("import helper\n", "helper.py"),
    "package": ("from parts import helper\n", "parts/helper.py"),
    "namespace": ("from parts import helper\n", "spread/helper.py"),
    "deep": ("import parts.more.helper as helper\n", "parts/more/helper.py"),
}


@pytest.fixture(autouse=True)
def own_modules() -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in ("helper", "parts", "spread", "pkg", "model"):
            del sys.modules[name]


def laid_out(folder: Path, layout: str) -> tuple[Path, Path]:
    """The scenario and the helper that it imports, whose `x` is its data."""
    line, name = LAYOUTS[layout]
    line = line.replace("parts", "spread") if layout == "namespace" else line
    for package in Path(name).parents:
        if package != Path() and layout != "namespace":
            write(folder, "", str(package / "__init__.py"))
    return write(folder, line + USES_HELPER), write(folder, "x = 0.5\n", name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_helper_is_executed_again(layout: str, tmp_path: Path) -> None:
    path, helper = laid_out(tmp_path, layout)
    session = Session(str(path))
    before = session.step().loss
    assert before == plain_run(path, 1).losses[0]
    # The same size within the same second: bytecode written at the first import would look fresh.
    helper.write_text("x = 2.5\n")
    session.restart()
    after = session.step().loss
    path.write_text(path.read_text().replace("helper.x", "2.5"))
    assert after == plain_run(path, 1).losses[0] != before


def test_no_bytecode_is_left_in_the_scenarios_folder(tmp_path: Path) -> None:
    path, _ = laid_out(tmp_path, "package")
    Session(str(path)).step()
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_network_of_a_helper_is_trained_anew(tmp_path: Path) -> None:
    helper = "import torch\nnet = torch.nn.Linear(1, 1)\n"
    write(tmp_path, helper, "helper.py")
    model = 'pyro.module("net", helper.net)\n    '
    text = SMALL.replace("    z = pyro.sample", f"    {model}z = pyro.sample", 1)
    text = text.replace("dist.Normal(z, 1.0)", "dist.Normal(helper.net(z.reshape(1))[0], 1.0)")
    session = Session(str(write(tmp_path, "import helper\n" + text)))
    first = [session.step().loss for _ in range(3)]
    session.restart()
    assert [session.step().loss for _ in range(3)] == first


def test_scenarios_of_two_folders_have_their_own_helpers(tmp_path: Path) -> None:
    one, _ = laid_out(tmp_path / "one", "beside")
    other, helper = laid_out(tmp_path / "other", "beside")
    helper.write_text("x = 2.5\n")
    first = Session(str(one)).step().loss
    second = Session(str(other)).step().loss
    assert first != second
    assert Session(str(one)).step().loss == first
    assert Session(str(other)).step().loss == second


def test_the_edited_file_is_what_runs(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL)
    session = Session(str(path))
    before = session.step().loss
    path.write_text(SMALL.replace("0.5", "2.5"))
    assert session.step().step == 2
    session.restart()
    assert session.step().loss == plain_run(path, 1).losses[0] != before


@pytest.mark.parametrize("name", ["pkg.model", "pkg.deep.model", "model"])
def test_a_module_is_found_without_importing_its_package(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    *packages, module = name.split(".")
    for end in range(1, len(packages) + 1):
        write(tmp_path, "from .helper import x\n", f"{'/'.join(packages[:end])}/__init__.py")
        write(tmp_path, "x = 0.5\n", f"{'/'.join(packages[:end])}/helper.py")
    line = "from . import helper\n" if packages else "class helper: x = 0.5\n"
    path = write(tmp_path, line + USES_HELPER, f"{'/'.join([*packages, module])}.py")
    session = Session(name)
    assert session.source.path == path
    assert session.source.module == name
    before = session.step().loss
    assert before == plain_run(write(tmp_path, SMALL), 1).losses[0]
    if packages:
        write(tmp_path, "x = 2.5\n", f"{'/'.join(packages)}/helper.py")
        session.restart()
        assert session.step().loss != before


def test_torch_is_not_executed_again(tmp_path: Path) -> None:
    """Not even with the scenario in a folder above that of the libraries."""
    home = Path(torch.__file__).parents[2]
    before = sys.modules["torch.distributions"]
    from tui_elbo.engine.scenario import _forget

    _forget(home)
    assert sys.modules["torch.distributions"] is before


def test_settings_of_a_run_do_not_outlive_it(tmp_path: Path) -> None:
    doubled = "import torch\ntorch.set_default_dtype(torch.float64)\n" + SMALL
    path = write(tmp_path, doubled)
    session = Session(str(path))
    assert session.step().loss == plain_run(path, 1).losses[0]
    torch.set_default_dtype(torch.float32)
    path.write_text(SMALL)
    session.restart()
    assert torch.get_default_dtype() is torch.float32
    assert session.step().loss == plain_run(path, 1).losses[0]
