"""Taking a run to the mean of its newest iterates, and what that has gained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tui_elbo.model.verdict import Estimate, with_error


@dataclass(frozen=True)
class AverageTaken:
    """A run stands at the mean of iterates, of its unconstrained parameters."""

    step: int
    first: int
    """The mean is that of the iterates after the steps from this one on,"""
    last: int
    """up to this one."""
    gain: Estimate | None = None
    """The ELBO at the mean less that at the iterate that was left, in nats, at the same draws of
    the lens; None where it could not be measured."""
    note: str = ""
    """Why not, in words."""

    @property
    def text(self) -> str:
        """In full."""
        place = (
            f"The run goes on from the mean of steps {self.first} to {self.last}, taken of the "
            f"unconstrained parameters; the optimizer keeps its state, and the numbers of step "
            f"{self.step} are those before"
        )
        if not self._measured:
            return f"{place}. What that gained is not known: {self.note or 'not finite'}."
        return f"{place}. {self._change}."

    @property
    def brief(self) -> str:
        """In a few words."""
        place = f"From here on: the mean of steps {self.first} to {self.last}"
        return f"{place}. {self._change}." if self._measured else f"{place}."

    def record(self) -> dict[str, Any]:
        """As `run --json` prints it."""
        gain = self.gain if self._measured else None
        return {
            "step": self.step,
            "first": self.first,
            "last": self.last,
            "gain": gain and {"value": gain.value, "mcse": gain.mcse},
            "text": self.text,
        }

    @property
    def _measured(self) -> bool:
        return self.gain is not None and math.isfinite(self.gain.value + self.gain.mcse)

    @property
    def _change(self) -> str:
        gain = self.gain or Estimate(math.nan, math.nan)
        size = Estimate(abs(gain.value), gain.mcse)
        return f"That {'gained' if gain.value >= 0 else 'lost'} {with_error(size)} nats"
