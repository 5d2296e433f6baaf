"""What the lens asks of those it looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from tui_elbo.engine.verdict.iterates import Iterates

State = dict[str, Tensor]
"""The unconstrained value of each parameter, by name; copies."""

NONE: Mapping[str, Tensor] = MappingProxyType({})
"""No parameters."""


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

    @property
    def own(self) -> Mapping[str, Tensor]:
        """The unconstrained parameters that are in no store, but in modules, by name."""


class Followed(Protocol):
    """A run that can be looked at between two steps; a `Session` is one."""

    @property
    def scenario(self) -> Subject:
        """What is stepped; another object once the draws of the one before say nothing of it."""

    @property
    def steps_taken(self) -> int:
        """How many steps have been taken."""

    @property
    def sound(self) -> bool:
        """Whether the parameters are those after that many steps; not so after a failed step."""

    @property
    def iterates(self) -> Iterates:
        """The parameters after each step, as far as they are kept."""

    @property
    def rate_decays(self) -> bool:
        """Whether the learning rate changes by itself."""

    @property
    def own(self) -> Mapping[str, Tensor]:
        """The unconstrained parameters that are in no store, but in modules, by name."""

    @property
    def estimator(self) -> Any:
        """The estimator in use, which may be another one than the scenario's."""

    @property
    def optimizer(self) -> Any:
        """The optimiser in use."""

    def state_at(self, step: int) -> State | None:
        """The parameters after that step; None if they cannot be had.

        To be called in a forked copy: it may take steps again, and leave the run there.
        """


@dataclass(frozen=True, eq=False)
class FixedArguments:
    """A model and a guide that are called with the same data at each step."""

    model: Callable[..., Any]
    guide: Callable[..., Any]
    loss: Any
    args: tuple[Any, ...] = ()
    """Of both."""
    steps: int = 1
    own: Mapping[str, Tensor] = field(default_factory=dict)
    """Parameters that are in no store."""

    def batch(self, step: int) -> tuple[Any, ...]:  # noqa: ARG002
        """The same at each step."""
        return self.args

    def full_batch(self) -> tuple[Any, ...]:
        """All the data."""
        return self.args


@dataclass(frozen=True, eq=False)
class RememberedBatches:
    """A model and a guide that are called with other data at each step, some of which are kept."""

    model: Callable[..., Any]
    guide: Callable[..., Any]
    loss: Any
    calls: Sequence[tuple[Any, ...]]
    """The arguments of some steps; more of them may be appended."""
    full_batch: Callable[[], Any] | None = None
    """All the data, where the script gives them."""
    note: str = ""
    """What is assumed of the data, in words; empty where that is nothing."""
    own: Mapping[str, Tensor] = field(default_factory=dict)
    """Parameters that are in no store."""

    @property
    def steps(self) -> int:
        """How many steps' arguments are kept."""
        return len(self.calls)

    def batch(self, step: int) -> tuple[Any, ...]:
        """Those that are kept, over and over again."""
        return self.calls[(step - 1) % len(self.calls)]
