"""What is common to all that the engine tells."""

from __future__ import annotations

import msgspec

VERSION = 5
"""Grows whenever a message changes its shape or its meaning."""


class Event(msgspec.Struct, frozen=True, tag=True):
    """From the engine to the terminal."""
