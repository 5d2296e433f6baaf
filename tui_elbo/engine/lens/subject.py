"""What the lens asks of those it looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Subject(Protocol):
    """A model, a guide and their data; a `Scenario` is one."""

    @property
    def model(self) -> Callable[..., Any]:
        """The model."""

    @property
    def guide(self) -> Callable[..., Any]:
        """The guide; set up by a first step."""

    @property
    def loss(self) -> Any:
        """The estimator, which says what is enumerated."""

    @property
    def batch(self) -> Callable[[int], Any]:
        """The positional arguments of a step, by its 1-based number."""

    @property
    def full_batch(self) -> Callable[[], Any] | None:
        """All the data, where `batch` is random or partial."""

    @property
    def steps(self) -> int:
        """From how many steps minibatches are chosen."""


class Followed(Protocol):
    """A run that can be looked at between two steps; a `Session` is one."""

    stepping: bool
    """True while the person's own code may be running."""

    @property
    def scenario(self) -> Subject:
        """What is stepped; another object once the draws of the one before say nothing of it."""

    @property
    def steps_taken(self) -> int:
        """How many steps have been taken."""


@dataclass(frozen=True, eq=False)
class Given:
    """A model and a guide that are called with the same data at each step."""

    model: Callable[..., Any]
    guide: Callable[..., Any]
    loss: Any
    args: tuple[Any, ...] = ()
    """Of both."""
    steps: int = 1

    def batch(self, step: int) -> tuple[Any, ...]:  # noqa: ARG002
        """The same at each step."""
        return self.args

    def full_batch(self) -> tuple[Any, ...]:
        """All the data."""
        return self.args
