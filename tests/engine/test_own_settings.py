"""Settings that a scenario declares: read back by it, given another value, saved, and refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.engine.sources import small, write
from tests.many.test_chunk import plan
from tui_elbo.cli import main
from tui_elbo.engine.scenario import load
from tui_elbo.engine.session import Session
from tui_elbo.many.check import check_settings
from tui_elbo.model.errors import ScenarioError, UsageError
from tui_elbo.model.grid import grid, parse_choice
from tui_elbo.model.own_settings import Given, fitted, parse_given
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.runfile.database import read

DECLARED = 'settings = {"width": 0.1, "layers": 2, "kind": "plain", "deep": False}\n'

LOCAL = 'reached = settings["width"]\ndef inside():\n    return settings["width"]\n'


def scenario(folder: Path, declared: str = DECLARED, tail: str = LOCAL) -> str:
    return str(write(folder, small(head=declared, tail=tail)))


def settings(path: str, given: Given = ()) -> dict[str, object]:
    return dict(load(find_scenario(path), None, given).settings)


def test_a_scenario_reads_its_settings_at_once_and_in_its_functions(tmp_path: Path) -> None:
    path = scenario(tmp_path)
    for given, width in (((), 0.1), ((("width", "0.25"),), 0.25)):
        found = load(find_scenario(path), None, given)
        module = sys.modules["_scenario_scenario"]
        assert (module.reached, module.inside(), found.settings["width"]) == (width,) * 3


def test_each_value_is_of_the_kind_that_is_declared(tmp_path: Path) -> None:
    given = (("width", "3"), ("layers", "4"), ("kind", "7"), ("deep", "yes"))
    found = settings(scenario(tmp_path), given)
    assert found == {"width": 3.0, "layers": 4, "kind": "7", "deep": True}
    assert isinstance(found["width"], float)


@pytest.mark.parametrize(
    ("name", "value", "why", "hint"),
    [
        ("widht", "0.1", "no setting 'widht'", "did you mean width"),
        ("lrr", "0.1", "no setting 'lrr'", "did you mean lr"),
        ("zzz", "0.1", "no setting 'zzz'", "it declares width, layers"),
        ("width", "wide", "width is a number, and this is 'wide'", "width=0.1"),
        ("width", "inf", "width is a number", ""),
        ("layers", "2.5", "layers is a whole number", ""),
        ("deep", "2", "deep is yes or no", ""),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, name: str, value: str, why: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=why) as raised:
        settings(scenario(tmp_path), ((name, value),))
    assert hint in raised.value.hint


def test_a_file_that_declares_none_says_how_to() -> None:
    with pytest.raises(UsageError, match="no setting 'width'") as raised:
        settings("no_theta", (("width", "1"),))
    assert 'settings = {"width"' in raised.value.hint


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ("settings = [1]\n", "must be a dict"),
        ('settings = {"lr": 0.1}\n', "a setting of the run"),
        ('settings = {"a b": 0.1}\n', "no name"),
        ('settings = {"width": [1, 2]}\n', "declares width as a list"),
        ('settings = {"width": float("nan")}\n', "declares width as nan"),
    ],
)
def test_the_declaration_is_part_of_the_contract(tmp_path: Path, declared: str, why: str) -> None:
    path = scenario(tmp_path, declared, "")
    for given in ((), (("width", "0.2"),)):
        with pytest.raises(ScenarioError, match=why):
            settings(path, given)


def test_a_module_of_that_name_is_none(tmp_path: Path) -> None:
    assert settings(scenario(tmp_path, "from pyro import settings\n", "")) == {}


def test_a_module_gets_its_settings_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "package", "", "__init__.py")
    write(tmp_path / "package", small(head=DECLARED, tail=LOCAL), "wide.py")
    monkeypatch.chdir(tmp_path)
    load(find_scenario("package.wide"), None, (("width", "0.5"),))
    assert sys.modules["package.wide"].inside() == 0.5


def test_a_saved_run_goes_on_with_its_settings(tmp_path: Path, capsys) -> None:
    head = 'settings = {"far": 3.0}\n'
    text = small(head=head).replace("torch.tensor(-3.0)", 'torch.tensor(-settings["far"])')
    path, file = str(write(tmp_path, text)), str(tmp_path / "my.run")
    words = ["run", path, "--steps", "2", "--set", "far=5", "--save", file]
    assert main([*words, "--json", "--no-findings"]) == 0
    assert read(Path(file)).settings.given == (("far", "5"),)
    whole = Session(path, given=(("far", "5"),))
    expected = whole.advance(3)[-1].values[:, -1].tolist()
    again = Session(file)
    assert again.scenario.settings == {"far": 5.0}
    assert again.advance(1)[-1].values.shape[0] == len(expected)
    assert again.present_state()["loc"].item() == whole.present_state()["loc"].item() < -4


@pytest.mark.parametrize("choice", ["rate=0.1", "width=0.1,wide"])
def test_a_sweep_is_refused_before_its_first_run(tmp_path: Path, choice: str) -> None:
    of = plan(scenario(tmp_path), grid((), [parse_choice(choice)], []))
    with pytest.raises(UsageError, match=r"no setting 'rate'|width is a number"):
        check_settings(of.settings, of.text, of.runs)


def test_a_setting_that_does_not_fit_is_named(tmp_path: Path) -> None:
    text = small(head=DECLARED, model="pyro.sample('w', dist.Normal(0.0, settings['width']))")
    of = plan(str(write(tmp_path, text)), grid((), [parse_choice("width=-1")], []))
    with pytest.raises(UsageError, match=r"^width=-1 does not fit this scenario: ValueError"):
        check_settings(of.settings, of.text, of.runs)


def test_a_setting_of_the_run_is_told_apart() -> None:
    assert parse_given(" width = 0.1") == ("width", "0.1")
    for text, why in (("width", "gives no value"), ("lr=0.1", "no setting of the scenario's own")):
        with pytest.raises(UsageError, match=why):
            parse_given(text)
    assert fitted({}, ()) == {}
