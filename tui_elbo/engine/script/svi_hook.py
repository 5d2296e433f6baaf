"""Stands in front of `SVI.step`, in the class: the SVI itself is what it is without us.

So a watched SVI is pickled, copied and saved as the plain object.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tui_elbo.engine.script.elbo_hook import inside

Find = Callable[[Any], Any]
"""What watches this SVI, or None; its `step` takes the plain step and its arguments."""

_patched: dict[Any, tuple[Any, Find]] = {}
"""The classes whose `step` has been replaced, each with its own, and who asked for it."""


def patch(kind: type, find: Find) -> None:
    """Ask `find` before each step of an instance of `kind` who watches it."""
    owner: Any = next(one for one in kind.__mro__ if "step" in vars(one))
    if owner in _patched:
        if _patched[owner][1] == find:
            return
        owner.step = _patched.pop(owner)[0]
    original = vars(owner)["step"]

    @functools.wraps(original)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            source = find(self)
        except Exception:  # The training goes on, whatever is wrong with the watching.
            source = None
        with inside():
            if source is None:
                return original(self, *args, **kwargs)
            return source.step(functools.partial(original, self), args, kwargs)

    _patched[owner] = original, find
    owner.step = step


def restore(find: Find) -> None:
    """Put back what has been replaced for `find`."""
    for owner, (original, one) in list(_patched.items()):
        if one == find:
            del _patched[owner]
            owner.step = original
