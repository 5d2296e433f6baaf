"""A saved run in a file. This module only recognises one, without importing what reads it."""

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
