"""Scenarios are named, listed and read without importing anything."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tui_elbo.model.errors import UsageError
from tui_elbo.model.scenarios import (
    GROUPS,
    TROUBLE,
    find_scenario,
    gallery,
    gallery_files,
    gallery_folder,
    read_docstring,
    split_docstring,
)

POISON = "raise SystemExit('this file was executed')\n"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(name: str, text: str = POISON) -> Path:
    path = Path.cwd() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_gallery_is_listed_by_group_with_titles() -> None:
    before = set(sys.modules)
    entries = gallery()
    names = [entry.name for entry in entries]
    assert sorted(names) == [path.stem for path in gallery_files()]
    grouped = [(group, name) for group, members in GROUPS for name in members]
    trouble = [(TROUBLE, name) for name in sorted(set(names) - {name for _, name in grouped})]
    assert [(entry.group, entry.name) for entry in entries] == grouped + trouble
    assert {"no_theta", "fixed_mean_guide", "learned_prior", "hyperprior_map"} <= set(names)
    assert {"prior_collapse", "network"} <= set(names)
    for entry in entries:
        assert entry.title
        assert not entry.title.startswith("(")
        assert entry.summary
        assert "\n" not in entry.title + entry.summary
        assert entry.path.parent == gallery_folder()
    assert not {name for name in set(sys.modules) - before if name in names}


def test_every_name_of_the_gallery_is_found() -> None:
    for entry in gallery():
        source = find_scenario(entry.name)
        assert (source.name, source.path, source.module) == (entry.name, entry.path, None)
        assert source.root == source.own == entry.path.parent


def test_a_path_is_found_and_not_executed() -> None:
    path = put("my folder/modèle [x].py")
    for target in ("my folder/modèle [x].py", "./my folder/modèle [x].py", str(path)):
        source = find_scenario(target)
        assert source.path == path
        assert source.name == path.name
        assert source.own == source.root == path.parent
    assert find_scenario("  my folder/modèle [x].py ").path == path


def test_a_file_in_this_folder_is_found_by_both_names() -> None:
    path = put("mine.py")
    by_path, by_module = find_scenario("mine.py"), find_scenario("mine")
    assert by_path.path == by_module.path == path
    assert (by_path.module, by_module.module) == (None, "mine")
    assert by_module.root == by_module.own == Path.cwd()


def test_a_link_stands_for_its_file() -> None:
    path = put("real/model.py")
    os.symlink(path, "link.py")
    source = find_scenario("link.py")
    assert source.path == path
    assert source.own == path.parent


def test_a_path_below_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(Path.cwd()))
    path = put("m.py")
    assert find_scenario("~/m.py").path == path


@pytest.mark.parametrize(
    ("files", "name", "own"),
    [
        (["pkg/__init__.py", "pkg/model.py"], "pkg.model", "pkg"),
        (["pkg/__init__.py", "pkg/sub/__init__.py", "pkg/sub/m.py"], "pkg.sub.m", "pkg"),
        (["spread/model.py"], "spread.model", "spread"),
        (["spread/deep/model.py"], "spread.deep.model", "spread"),
        (["pkg/__init__.py"], "pkg", "pkg"),
    ],
)
def test_a_module_is_found_without_importing_its_package(
    files: list[str], name: str, own: str
) -> None:
    paths = [put(file) for file in files]
    before = set(sys.modules)
    source = find_scenario(name)
    assert source.path == paths[-1]
    assert source.module == source.name == name
    assert source.root == Path.cwd()
    assert source.own == Path.cwd() / own
    assert set(sys.modules) == before


def test_a_module_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path = put("elsewhere/their_model.py")
    monkeypatch.syspath_prepend(str(path.parent))
    assert find_scenario("their_model").path == path


def test_the_gallery_goes_before_a_module_of_the_same_name() -> None:
    put("no_theta.py")
    assert find_scenario("no_theta").path.parent == gallery_folder()
    assert find_scenario("no_theta.py").path == Path.cwd() / "no_theta.py"


WRONG = {
    "nothing.py": ("there is no such file", "elbo-tui list"),
    "sub/nothing.py": ("there is no such file", "elbo-tui list"),
    "nothing": ("there is no scenario of this name", "elbo-tui list"),
    "no_thetta": ("there is no scenario of this name", "did you mean no_theta"),
    "NO_THETA": ("there is no scenario of this name", "did you mean no_theta"),
    "no-theta": ("there is no scenario of this name", "did you mean no_theta"),
    "prior_colapse": ("there is no scenario of this name", "did you mean prior_collapse"),
    "./here/modle.py": ("there is no such file", "did you mean here/model.py"),
    "here": ("this is a directory, not a scenario", "such as model.py"),
    "here/": ("this is a directory, not a scenario", "such as model.py"),
    ".": ("this is a directory, not a scenario", "name a Python file"),
    "here.model.deeper": ("there is no scenario of this name", ""),
    "sys": ("there is no scenario of this name", ""),
    "": ("a scenario needs a name", "elbo-tui list"),
    "   ": ("a scenario needs a name", "elbo-tui list"),
    "a..b": ("there is no scenario of this name", ""),
    ".relative": ("there is no scenario of this name", ""),
    "a\0b": ("there is no scenario of this name", ""),
    "a\0b.py": ("there is no such file", ""),
    "x" * 300: ("", "elbo-tui list"),
    "x" * 300 + ".py": ("File name too long", "elbo-tui list"),
    "~nobody_of_this_name/x.py": ("no home folder of this name", "write the whole path"),
    "[red]\n\x1b[31m": ("there is no scenario of this name", ""),
}


@pytest.mark.parametrize("target", WRONG)
def test_what_is_not_there_is_a_usage_error(target: str) -> None:
    put("here/model.py")
    what, hint = WRONG[target]
    with pytest.raises(UsageError) as caught:
        find_scenario(target)
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert caught.value.where == target.strip()
    assert caught.value.exit_code == 2


def test_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert find_scenario("no_theta").name == "no_theta"
    for target in ("nothing", "nothing.py"):
        with pytest.raises(UsageError):
            find_scenario(target)
    monkeypatch.chdir(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_read() -> None:
    put("closed/model.py").parent.chmod(0)
    try:
        with pytest.raises(UsageError, match="Permission denied"):
            find_scenario("closed/model.py")
    finally:
        Path("closed").chmod(0o700)


def test_titles_are_read_and_not_executed() -> None:
    text = '"""The *title*\n\nNotes,\n    indented.\n"""\n' + POISON
    assert read_docstring(put("a.py", text)) == ("The *title*", "Notes,\n    indented.")
    assert read_docstring(put("b.py", POISON)) == ("", "")
    assert read_docstring(put("c.py", "def f(:")) == ("(c.py does not parse)", "")
    assert read_docstring(put("d.py", "")) == ("", "")
    assert read_docstring(Path("none.py")) == ("(none.py does not parse)", "")
    Path("e.py").write_bytes(b"\0\xff")
    assert read_docstring(Path("e.py")) == ("(e.py does not parse)", "")
    Path("f.py").write_bytes(b"x = " + b"-" * 200_000 + b"1")
    assert read_docstring(Path("f.py")) == ("(f.py does not parse)", "")


def test_a_docstring_is_split_at_its_first_line() -> None:
    assert split_docstring(None) == ("", "")
    assert split_docstring("") == ("", "")
    assert split_docstring("\n  one  \n") == ("one", "")
    assert split_docstring("one\n\ntwo\nthree\n") == ("one", "two\nthree")
