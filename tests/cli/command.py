"""The command in a process of its own, without a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.warm_start import Program

PATIENCE = 60.0
"""Seconds after which a command is not expected to end any more. No test waits for it."""


def started(*words: str, folder: Path | None = None, **options: Any) -> Program:
    """The command, running, with a pipe at its stdout and its stderr."""
    return Program("tui_elbo.cli", *words, cwd=folder, **options)


def ran(*words: str, folder: Path | None = None) -> tuple[int, str, str]:
    """Its exit code, stdout and stderr."""
    process = started(*words, folder=folder)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out.decode(), err.decode()


def records(out: str) -> list[dict[str, Any]]:
    """One JSON object a line, and nothing else; the verdict that ends them is left out."""
    assert out == "" or out.endswith("\n")
    found = [json.loads(line) for line in out.splitlines()]
    assert all("verdict" not in one for one in found[:-1])
    return found[:-1] if found and "verdict" in found[-1] else found


def verdict(out: str) -> dict[str, Any]:
    """The verdict that ends the output."""
    found: dict[str, Any] = json.loads(out.splitlines()[-1])["verdict"]
    return found


def untimed(out: str) -> list[dict[str, Any]]:
    """The same but for what the clock says, which is checked."""
    found = records(out)
    assert all(record.pop("seconds") > 0 for record in found)
    return found
