"""The folder of live runs: its owner, its sockets, and what is removed from it."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.runtime import runtime_folder
from tui_elbo.client import registry
from tui_elbo.model.errors import UsageError
from tui_elbo.protocol import runtime_dir

OTHER_UID = 54321


@pytest.fixture(autouse=True)
def runtime() -> Iterator[Path]:
    with runtime_folder() as folder:
        yield folder
        for path in folder.glob("elbo-tui/*"):
            path.unlink()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_and_its_sockets_are_one_persons_alone(runtime: Path) -> None:
    before = os.umask(0)
    try:
        listener, path = runtime_dir.claim("a name/with $odd  letters")
    finally:
        os.umask(before)
    assert path == runtime / "elbo-tui" / "a-name-with-odd-letters.sock"
    assert (mode(path.parent), mode(path)) == (0o700, 0o600)
    listener.close()


def test_names_are_distinguished_and_short() -> None:
    claimed = [runtime_dir.claim(name) for name in ("x", "x", "y" * 300, "", "..", "π")]
    assert [path.stem for _, path in claimed] == ["x", "x-2", "y" * 24, "run", "run-2", "run-3"]
    assert runtime_dir.socket_paths() == sorted((path for _, path in claimed), key=lambda p: p.stem)
    claimed[0][0].close()
    # A name is free again once nobody listens.
    again, path = runtime_dir.claim("x")
    assert path.stem == "x"
    for listener in (again, *(listener for listener, _ in claimed)):
        listener.close()
    assert runtime_dir.socket_paths() == []
    assert list(path.parent.iterdir()) == []


def make_open(path: Path) -> None:
    path.mkdir()
    path.chmod(0o755)


def make_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.mkdir(mode=0o700)
    path.symlink_to(target)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "open": (make_open, "is open to others (mode 755)"),
    "link": (make_link, "is no folder"),
    "file": (lambda path: path.write_text(""), "is no folder"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_folder_that_is_not_safe_is_refused(runtime: Path, name: str) -> None:
    make, why = WRONG[name]
    make(runtime / "elbo-tui")
    for act in (
        runtime_dir.folder,
        runtime_dir.socket_paths,
        registry.runs,
        lambda: runtime_dir.claim("x"),
    ):
        with pytest.raises(UsageError) as caught:
            act()
        assert why in caught.value.what
        assert caught.value.where == str(runtime / "elbo-tui")


def test_a_missing_runtime_folder_is_made_up_for(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime / "gone"))
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    assert runtime_dir.folder() == runtime / f"elbo-tui-{os.geteuid()}"
    assert mode(runtime_dir.folder()) == 0o700


def test_a_folder_that_cannot_be_made_says_why(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(UsageError, match="No space left on device"):
        runtime_dir.folder()


def test_a_path_too_long_for_a_socket_says_so(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = runtime / ("d" * 90)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(UsageError, match="too long"):
        runtime_dir.claim("x")


def test_a_peer_is_known_by_its_uid(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    with one, other:
        assert runtime_dir.is_the_same_persons(one)
        own = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: own + 1)
        assert not runtime_dir.is_the_same_persons(one)


def denied(path: Path) -> list[str]:
    """What a process of another uid, a child of this one, can do there."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        done = []
        try:
            os.setgroups([])
            os.setresgid(OTHER_UID, OTHER_UID, OTHER_UID)
            os.setresuid(OTHER_UID, OTHER_UID, OTHER_UID)
            for name, act in {
                "list": lambda: os.listdir(path.parent),
                "stat": lambda: os.stat(path),
                "connect": lambda: socket.socket(socket.AF_UNIX).connect(str(path)),
                "remove": lambda: os.unlink(path),
            }.items():
                try:
                    act()
                except PermissionError:
                    continue
                done.append(name)
        finally:
            os.write(write, " ".join(done).encode() or b"-")
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said.split()


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can be someone else"
)
def test_another_user_can_neither_connect_nor_read_nor_list(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, path = runtime_dir.claim("mine")
    # What is above the folder is open, as /run/user and /tmp are.
    for parent in path.parent.parents:
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    assert denied(path) == ["-"]
    listener.close()
