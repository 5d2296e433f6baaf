"""The command, run as a person runs it: in a process of its own, without a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-P", "-m", "tui_elbo.cli"]
PATIENCE = 60.0
"""Seconds after which a command is not expected to end any more. No test waits for it."""


def started(*words: str, folder: Path | None = None, **options: Any) -> subprocess.Popen[bytes]:
    """The command, running, with a pipe at its stdout and its stderr."""
    return subprocess.Popen(
        [*COMMAND, *words],
        stdin=subprocess.DEVNULL,
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        cwd=folder,
        **options,
    )


def ran(*words: str, folder: Path | None = None) -> tuple[int, str, str]:
    """Its exit code, stdout and stderr."""
    process = started(*words, folder=folder)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out.decode(), err.decode()


def records(out: str) -> list[dict[str, Any]]:
    """One JSON object a line, and nothing else."""
    assert out == "" or out.endswith("\n")
    return [json.loads(line) for line in out.splitlines()]


def untimed(out: str) -> list[dict[str, Any]]:
    """The same but for what the clock says, which is checked."""
    found = records(out)
    assert all(record.pop("seconds") > 0 for record in found)
    return found
