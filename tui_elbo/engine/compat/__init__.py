"""What is used of Pyro and torch that they do not promise: one file a library.

Each `PRIVATE` lists what its file uses, why, and where it is looked up; `checked` raises by name
for one that the installed version lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Private:
    """A private name of a library.

    Args:
        name: as the library writes it.
        reason: what it is used for, and why nothing public will do.
        look: looks it up; raises, or returns False, where it is not what is expected.
    """

    name: str
    reason: str
    look: Callable[[], object]


def checked(api: Private, library: str, version: str, known: tuple[str, ...]) -> None:
    """See that a private name is there and is what is expected.

    Raises:
        RuntimeError: with the name, the version that lacks it, and those that were checked.
    """
    try:
        found, why = api.look() is not False, "it is not what it was"
    except Exception as error:
        found, why = False, f"{type(error).__name__}: {error}"
    if not found:
        raise RuntimeError(
            f"{library} {version} lacks {api.name} ({why}); elbo-tui uses it {api.reason}, "
            f"and was checked with {library} {', '.join(known)}"
        )
