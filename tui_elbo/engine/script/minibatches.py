"""The data that the lens looks at where each step of a script is called with other data.

Those of the first steps that it sees are kept, up to an epoch: by reference, or as copies where the
script fills the same memory anew for each step.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tui_elbo.engine.lens.batches import BATCHES
from tui_elbo.engine.script.step_call import StepCall

BYTES = 2**27
"""Of the tensors and arrays that are kept."""

LEAST = 2
"""Fewer steps' data say nothing of the others."""


class Minibatches:
    """The calls of some steps.

    Args:
        what: the argument that changes, in words.
        first: the number of the first step that is kept.
        copies: whether the script changes its tensors in place.
    """

    def __init__(self, what: str, first: int, *, copies: bool = False) -> None:
        self.what, self.first, self.last = what, first, first
        self.calls: list[StepCall] = []
        self.args: list[tuple[Any, ...]] = []
        """What the lens calls model and guide with, `Named` ones where something has a name."""
        self.full = False
        """Whether no more are kept."""
        self.is_epoch = False
        """Whether the steps after them were called with the same data once more, in that order."""
        self._copies, self._size, self._again = copies, 0, 0

    def add(self, step: int, call: StepCall) -> None:
        """Keep the call of this step, if it is one of an epoch and there is room for it."""
        if self.full:
            return
        if not self.intact:
            self._copies = True
            self._begin(step)
        if len(self.calls) >= LEAST and not self.calls[self._again].changed(call):
            self._again += 1
            self.full = self.is_epoch = self._again == len(self.calls)
            return
        # Data that come again by chance make no epoch.
        repeated, self._again = self.calls[: self._again], 0
        for one in (*repeated, call.copied(tensors=self._copies)):
            self._keep(step, one)

    def _keep(self, step: int, call: StepCall) -> None:
        if self.full:
            return
        self._size += call.size
        if self._size > BYTES and self.calls:
            self.full = True
            return
        if not self.calls:
            self.first = step
        self.last = step
        self.calls.append(call)
        self.args.append((*call.args, call.kwargs))
        self.full = len(self.calls) >= BATCHES

    def _begin(self, step: int) -> None:
        self.first, self._size, self._again = step, 0, 0
        self.calls.clear()
        self.args.clear()

    @property
    def intact(self) -> bool:
        """Whether the data that are kept are still those of their steps."""
        return all(call.intact for call in self.calls)

    @property
    def known(self) -> bool:
        """Whether enough are kept to look at."""
        return self.full and len(self.calls) >= LEAST

    @property
    def note(self) -> str:
        """What is assumed, in words."""
        count = len(self.calls)
        which = "one epoch" if self.is_epoch else "these stand for all"
        data = f"the data of {count} steps ({self.first} to {self.last})"
        if count != self.last - self.first + 1:
            data = f"{count} minibatches of steps {self.first} to {self.last}"
        return f"the lens sees {data}: {which}"

    @property
    def waiting(self) -> str:
        """Why the lens cannot look, in words; empty once it can."""
        changes = f"The steps are called with other data each time ({self.what} changes)"
        if self.full and not self.known:
            return f"{changes}, and those of {LEAST} steps take more than {BYTES >> 20} MiB to keep"
        return "" if self.known else f"{changes}: the lens looks once it has those of {BATCHES}"


class Named(partial[Any]):
    """A model or a guide whose last argument is a dictionary of those that it takes by name."""

    def __call__(self, /, *args: Any, **_: Any) -> Any:
        """Call it with the last argument taken apart."""
        # A partial of a partial, such as a handler makes of a function, is one with its arguments.
        return self.func(*self.args, *args[:-1], **self.keywords, **args[-1])
