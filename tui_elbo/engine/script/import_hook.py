"""Waits in a script until it imports Pyro; nothing but the standard library is imported before.

So a script that sets OMP_NUM_THREADS and then imports torch sees its effect. Once Pyro has been
imported, every SVI that steps is watched.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

VARIABLE = "ELBO_TUI_WATCH"
STARTUP = Path(__file__).parent / "startup"


def environment(
    script: str, *, line: int = -1, output: int = -1, hold: bool = False
) -> dict[str, str]:
    """The environment in which Python is to start a script, so that it is watched.

    Args:
        script: names the run.
        line: the descriptor of a socket at whose other end there is a terminal.
        output: the read end of the script's own stdout and stderr.
        hold: whether to wait before the first step.
    """
    before = os.environ.get("PYTHONPATH")
    wanted = {"script": script, "line": line, "output": output, "hold": hold, "path": before}
    path = os.pathsep.join([str(STARTUP), *([before] if before else [])])
    return os.environ | {VARIABLE: json.dumps(wanted), "PYTHONPATH": path}


def begin(text: str) -> None:
    """Put the environment back, and wait until Pyro is imported.

    Args:
        text: what `environment` has made.
    """
    wanted: dict[str, Any] = json.loads(text)
    if wanted["path"] is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = wanted["path"]
    for number in (wanted["line"], wanted["output"]):
        if number >= 0:
            os.set_inheritable(number, False)
    if wanted["output"] >= 0:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.meta_path.insert(0, _PyroFinder(wanted))


class _PyroFinder(MetaPathFinder):
    """Finds Pyro where it is found without us, and goes on once it has been imported."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._wanted, self._process = wanted, os.getpid()

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """As `importlib` has it."""
        if fullname != "pyro":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None and os.getpid() == self._process:
            load = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                del loader.exec_module
                load(module)
                _watch(self._wanted)

            loader.exec_module = exec_module
        return spec


def _watch(wanted: dict[str, Any]) -> None:
    line, output = wanted["line"], wanted["output"]
    try:
        from tui_elbo.engine.script import script_session  # noqa: PLC0415 - Pyro is there now

        stream = socket.socket(fileno=line) if line >= 0 else None
        session = script_session.begin(
            Path(wanted["script"]),
            watches_all=True,
            hold=wanted["hold"],
            stream=stream,
            output=output,
        )
        if stream is None:
            held = "; it waits at its first step" if wanted["hold"] else ""
            text = f"elbo-tui: `elbo-tui attach {session.id}` shows this run{held}"
            print(text, file=sys.stderr, flush=True)
    except Exception as error:
        print(f"elbo-tui cannot watch: {error}", file=sys.stderr)
