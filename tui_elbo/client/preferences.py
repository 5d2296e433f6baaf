"""What is remembered from one start of the program to the next."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec


class Preferences(msgspec.Struct, frozen=True):
    """How a person likes the screen."""

    theme: str = ""
    """The name of a theme; empty for the program's own."""
    order: Literal["as in the store", "largest movement first"] = "as in the store"
    """The order of the parameters."""


class PreferenceStore:
    """Keeps settings in a file, which is written anew as a whole at each change.

    Args:
        path: the file; it need not exist. None remembers for as long as the program runs.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.complaint = ""
        """What was wrong with the file, in words; empty when nothing was."""
        self._path = path
        self._settings = Preferences() if path is None else self._read(path)

    @property
    def settings(self) -> Preferences:
        """The settings as they are now."""
        return self._settings

    def keep(self, **changes: Any) -> None:
        """Remember other settings; what cannot be written is forgotten with the program."""
        new = msgspec.structs.replace(self._settings, **changes)
        if new == self._settings:
            return
        self._settings = new
        if self._path is not None:
            with suppress(OSError):
                self._write(self._path)

    def _read(self, path: Path) -> Preferences:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Preferences)
        except FileNotFoundError:
            return Preferences()
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
            aside = path.with_name(f"{path.name}.broken")
            self.complaint = f"the settings cannot be read ({error})"
            with suppress(OSError):
                path.replace(aside)
                self.complaint += f": they are put aside as {aside}"
            return Preferences()

    def _write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            new.write_bytes(msgspec.json.format(msgspec.json.encode(self._settings)))
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
