"""The walls, proven in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PRINT = "import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"


def imported_by(module: str) -> set[str]:
    code = PRINT.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", ["app", "explorer", "gallery", "views", "panes.curve"])
def test_the_screen_imports_nothing_of_the_engine(module):
    names = imported_by(f"tui_elbo.ui.{module}")
    assert f"tui_elbo.ui.{module}" in names
    assert not {"torch", "pyro", "tui_elbo.engine"} & names


def test_the_first_frame_waits_for_nothing_that_it_does_not_need():
    later = {"plotext", "markdown_it", "pygments", "textual.widgets._markdown", "hypothesis"}
    assert not later & imported_by("tui_elbo.ui.app")


def test_an_engine_is_started_without_waiting_for_the_screen():
    names = imported_by("tui_elbo.client.process")
    assert not {"textual", "rich", "numpy", "msgspec", "asyncio"} & names
