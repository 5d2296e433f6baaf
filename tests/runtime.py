"""A folder for live runs that is a test's alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tui_elbo.client import registry
from tui_elbo.model.errors import UsageError
from tui_elbo.protocol import runtime_dir


@contextmanager
def runtime_folder() -> Iterator[Path]:
    """The folder that `XDG_RUNTIME_DIR` names; no socket may be left in it.

    Its path is short, since a socket's address has little room for one.
    """
    with tempfile.TemporaryDirectory(prefix="elbo-") as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setenv("XDG_RUNTIME_DIR", name)
        # Nor is the other place, for this process and those that it starts.
        tempfile.gettempdir()  # From here on it is known, and stays.
        patch.setattr(runtime_dir, "tempfile", SimpleNamespace(gettempdir=lambda: name))
        patch.setenv("TMPDIR", name)
        yield folder
        assert list(folder.rglob("*.sock")) == []


def end_all() -> None:
    """End every live run."""
    for path in runtime_dir.socket_paths():
        try:
            registry.end(path)
        except UsageError:  # It was killed, and could not take its socket away.
            path.unlink(missing_ok=True)
