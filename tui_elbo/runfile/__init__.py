"""A saved run in a file. This module only recognises it, without importing what reads it."""

from __future__ import annotations

from pathlib import Path

MAGIC, APPLICATION = b"SQLite format 3\0", 0x454C424F
"""What the file begins with; and its application id, which spells ELBO."""


def is_run_file(target: str) -> bool:
    """Whether this names a file of this kind, whatever its name and version."""
    try:
        with Path(target).expanduser().open("rb") as file:
            head = file.read(72)
    except (OSError, ValueError, RuntimeError):
        return False
    return head.startswith(MAGIC) and int.from_bytes(head[68:72], "big") == APPLICATION


def holds_runs(folder: Path) -> bool:
    """Whether a folder has a sweep or a file of this kind in it."""
    swept = (folder / ".sweep" / "plan.json").is_file()
    return swept or any(is_run_file(str(path)) for path in folder.glob("*.run"))
