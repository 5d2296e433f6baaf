"""Breakpoints: conditions, and tests that need more than the numbers of one step.

Besides what `tui_elbo.model.conditions` reads, a breakpoint is one of:

    nonfinite                           a loss, gradient, parameter or site that is not finite
    nonfinite except z, loc             the same, but for these sites and parameters
    falls 3                             the ELBO falls by more than 3 running standard deviations
    sign params["phi"]                  a number changes its sign
    still 100                           a parameter has not moved for 100 steps; also: still 100 loc
    verdict stationary                  the verdict on the run; also: verdict not improving

All but the last are evaluated step by step during a run, and on a whole history at once. A verdict
is none of a step's numbers: it is asked about when it is reached, and not kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from tui_elbo.model.conditions import Bools, Condition, Numbers, parse
from tui_elbo.model.errors import UsageError
from tui_elbo.model.history import History
from tui_elbo.model.records import Column, Layout, field_of
from tui_elbo.model.verdict import WORDS as VERDICTS
from tui_elbo.model.verdict import Verdict, VerdictState

NEWEST_WEIGHT = 0.05
"""The weight of the newest step in a running mean over about twenty steps."""

MIN_STEPS = 20
"""Fewer steps give no running standard deviation."""

MAX_OBSERVATIONS = 5000
"""Observations of so many steps are kept for a rewind."""

ELBO = Column("step", "", "elbo")


class NonFinite:
    """A number of the step that is not finite.

    Args:
        text: as it was written.
        ignored: sites and parameters that are not checked.
    """

    reads_params = True
    params: frozenset[str] = frozenset()

    def __init__(self, text: str, ignored: list[str]) -> None:
        self.text, self._ignored = text, frozenset(ignored)
        self._known: tuple[Layout | None, list[Column]] = (None, [])
        self._bad: Column | None = None

    def check(self, *layouts: Layout) -> None:
        """Check that the ignored names exist."""
        for name in self._ignored if layouts else ():
            _check_name(name, [c.name for layout in layouts for c in layout.columns])

    def met(self, layout: Layout, step: int, numbers: Numbers) -> bool:  # noqa: ARG002
        """Whether any number is not finite."""
        if self._known[0] is not layout:
            self._known = layout, [c for c in layout.columns if self._counts(c)]
        bad = (c for c in self._known[1] if not math.isfinite(numbers(c)))
        self._bad = next(bad, None)
        return self._bad is not None

    def describe(self, layout: Layout, step: int, numbers: Numbers) -> str:  # noqa: ARG002
        """The number, and its value."""
        if self._bad is None:
            return self.text
        name = f' of "{self._bad.name}"' if self._bad.name else ""
        return f"nonfinite: {self._bad.field}{name} = {numbers(self._bad)}"

    def holds_in(self, history: History) -> Bools:
        """Whether it holds at each step."""
        result = np.zeros(history.last, dtype=np.bool_)
        for first, last, layout in history.stretches():
            for column in filter(self._counts, layout.columns):
                part = history.values(column)[first - 1 : last]
                result[first - 1 : last] |= ~np.isfinite(part)
        return result

    def _counts(self, column: Column) -> bool:
        return field_of(column).always_finite and column.name not in self._ignored


class StatefulBreakpoint:
    """A breakpoint that depends on earlier steps; it keeps an observation of each.

    Args:
        text: as it was written.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._observations: list[Any] = []
        self._first, self._state, self._reason = 1, self.initial_state(), ""

    def initial_state(self) -> Any:
        """The state before any step."""
        raise NotImplementedError

    def observe(self, layout: Layout, step: int, numbers: Numbers) -> Any:
        """What it needs of a step."""
        raise NotImplementedError

    def advance(self, state: Any, observation: Any) -> tuple[Any, str]:
        """The state after a step, and the reason why it holds there; empty if it does not."""
        raise NotImplementedError

    def met(self, layout: Layout, step: int, numbers: Numbers) -> bool:
        """Whether it holds; a step observed before replaces that one and those after it."""
        next_step = self._first + len(self._observations)
        if step != next_step:
            kept = (
                self._observations[: step - self._first] if self._first <= step < next_step else []
            )
            self._first, self._observations, self._state = (
                step - len(kept),
                kept,
                self.initial_state(),
            )
            for one in kept:
                self._state, _ = self.advance(self._state, one)
        observation = self.observe(layout, step, numbers)
        self._observations.append(observation)
        if len(self._observations) > 2 * MAX_OBSERVATIONS:
            del self._observations[:MAX_OBSERVATIONS]
            self._first += MAX_OBSERVATIONS
        self._state, self._reason = self.advance(self._state, observation)
        return bool(self._reason)

    def describe(self, layout: Layout, step: int, numbers: Numbers) -> str:  # noqa: ARG002
        """Why it held at the last step."""
        return self._reason or self.text

    def holds_in(self, history: History) -> Bools:
        """Whether it holds at each step."""
        state, result = self.initial_state(), np.zeros(history.last, dtype=np.bool_)
        for step, observation in enumerate(self.observe_history(history)):
            state, reason = self.advance(state, observation)
            result[step] = bool(reason)
        return result

    def observe_history(self, history: History) -> Iterable[Any]:
        """The observation of each step of a history."""
        for first, last, layout in history.stretches():
            columns = {column: history.values(column) for column in layout.columns}
            for step in range(first, last + 1):
                yield self.observe(layout, step, _at(columns, step))


def _at(columns: dict[Column, Any], step: int) -> Callable[[Column], float]:
    return lambda column: float(columns[column][step - 1])


def _check_name(name: str, names: Iterable[str]) -> None:
    found = sorted({one for one in names if one})
    if name not in found:
        near = ", ".join(found[:5]) or "nothing"
        raise UsageError(f"there is no site and no parameter {name!r}", hint=f"there is {near}")


class ElboFalls(StatefulBreakpoint):
    """The ELBO is more than so many running standard deviations below its running mean."""

    reads_params = False
    params: frozenset[str] = frozenset()

    def __init__(self, text: str, many: float) -> None:
        self._many = many
        super().__init__(text)

    def check(self, *layouts: Layout) -> None:
        """Check that there is an ELBO."""
        if layouts and all(ELBO not in layout.index for layout in layouts):
            raise UsageError("this estimator reports no ELBO", hint="use a condition on the loss")

    def initial_state(self) -> tuple[int, float, float]:
        """Number of steps, their mean and their variance."""
        return 0, 0.0, 0.0

    def observe(self, layout: Layout, step: int, numbers: Numbers) -> float:  # noqa: ARG002
        """The ELBO; NaN if there is none."""
        return numbers(ELBO) if ELBO in layout.index else math.nan

    def advance(self, state: Any, observation: float) -> tuple[Any, str]:
        """Compare it with the running mean, then add it."""
        count, mean, variance = state
        if not math.isfinite(observation):
            return state, ""
        sd, reason = math.sqrt(variance), ""
        if count >= MIN_STEPS and observation < mean - self._many * sd:
            below = f"{(mean - observation) / sd:.1f} sd below" if sd else "below"
            reason = f"{self.text}: elbo = {observation:.6g}, {below} its running mean {mean:.6g}"
        weight = max(NEWEST_WEIGHT, 1 / (count + 1))
        apart = observation - mean
        mean += weight * apart
        return (count + 1, mean, (1 - weight) * (variance + weight * apart**2)), reason


class SignChange(StatefulBreakpoint):
    """A number has another sign than it had when it last was not zero."""

    def __init__(self, text: str, number: str) -> None:
        self._above, self._below = parse(f"{number} > 0"), parse(f"{number} < 0")
        self.reads_params, self.params = self._above.reads_params, self._above.params
        super().__init__(text)

    def check(self, *layouts: Layout) -> None:
        """Check that the number exists."""
        self._above.check(*layouts)

    def initial_state(self) -> int:
        """The sign so far: none."""
        return 0

    def observe(self, layout: Layout, step: int, numbers: Numbers) -> tuple[int, str]:
        """The sign, and the number in words."""
        for sign, side in ((1, self._above), (-1, self._below)):
            if side.met(layout, step, numbers):
                return sign, side.describe(layout, step, numbers)
        return 0, ""

    def advance(self, state: int, observation: tuple[int, str]) -> tuple[int, str]:
        """Compare it with the sign before."""
        sign, words = observation
        changed = sign and state and sign != state
        return sign or state, f"{words}, and was {'below' if sign > 0 else 'above'}" * bool(changed)


class Unchanged(StatefulBreakpoint):
    """A parameter has not moved for so many steps; it holds at the last of them alone."""

    reads_params = True

    def __init__(self, text: str, steps: int, name: str) -> None:
        self._steps, self._name = steps, name
        self.params = frozenset({name} if name else ())
        super().__init__(text)

    def check(self, *layouts: Layout) -> None:
        """Check that the parameter exists."""
        if self._name and layouts:
            _check_name(self._name, [info.name for layout in layouts for info in layout.params])

    def initial_state(self) -> dict[str, int]:
        """For how many steps each has not moved."""
        return {}

    def observe(self, layout: Layout, step: int, numbers: Numbers) -> dict[str, float]:  # noqa: ARG002
        """How far each has moved; NaN where that is not known."""
        return {
            column.name: numbers(column)
            for column in layout.columns
            if column.field == "update_norm" and self._name in ("", column.name)
        }

    def advance(
        self, state: dict[str, int], observation: dict[str, float]
    ) -> tuple[dict[str, int], str]:
        """Count on."""
        counts = {
            name: 0 if moved else state.get(name, 0) + 1 for name, moved in observation.items()
        }
        names = ", ".join(f'"{name}"' for name, count in counts.items() if count == self._steps)
        return counts, f"{self.text}: {names} has not moved for {self._steps} steps" * bool(names)


class VerdictIs:
    """The verdict on the run is one of some states; where it cannot tell, that changes nothing.

    Args:
        text: as it was written.
        states: in any of these it holds.
    """

    reads_params = False
    params: frozenset[str] = frozenset()

    def __init__(self, text: str, states: frozenset[VerdictState]) -> None:
        self.text, self._states = text, states

    def judged(self, verdict: Verdict, *, held: bool) -> bool:
        """Whether it holds, after it did or did not."""
        return held if verdict.state == "cannot_tell" else verdict.state in self._states

    def check(self, *layouts: Layout) -> None:
        """It names nothing."""

    def met(self, layout: Layout, step: int, numbers: Numbers) -> bool:  # noqa: ARG002
        """No step's numbers meet it."""
        return False

    def describe(self, layout: Layout, step: int, numbers: Numbers) -> str:  # noqa: ARG002
        """As it was written."""
        return self.text

    def holds_in(self, history: History) -> Bools:
        """At no step that is known."""
        return np.zeros(history.last, dtype=np.bool_)


STATES: dict[str, VerdictState] = {
    state.replace("_", " "): state for state in VERDICTS if state != "cannot_tell"
}
"""The verdicts that can be waited for, as they are typed."""


def _verdict_is(text: str, rest: str) -> VerdictIs:
    negated = rest.startswith("not ")
    state = STATES.get(rest.removeprefix("not ").replace("_", " "))
    if state is None:
        what = f"{rest!r} is no verdict" if rest else "verdict takes the verdict to stop on"
        raise UsageError(what, hint=f"one of {', '.join(STATES)}; or not, and one of them")
    others = frozenset(STATES.values()) - {state}
    return VerdictIs(text, others if negated else frozenset({state}))


WORDS = ("nonfinite", "falls ", "sign ", "still ", "verdict ")
"""How a breakpoint begins that is not a condition."""

EXAMPLES = 'elbo > -1.2, nonfinite, falls 3, sign params["phi"], still 100, verdict stationary'


class StopCondition(Protocol):
    """Something that a run can stop on."""

    text: str
    """As it was written."""

    @property
    def reads_params(self) -> bool:
        """Whether it reads parameters; their sums are then wanted at every step."""

    @property
    def params(self) -> frozenset[str]:
        """The parameters that it reads by name."""

    def check(self, *layouts: Layout) -> None:
        """Check that its names exist.

        Raises:
            UsageError: with the names that are nearest.
        """

    def met(self, layout: Layout, step: int, numbers: Numbers) -> bool:
        """Whether it holds at this step; asked in the order of the steps."""

    def describe(self, layout: Layout, step: int, numbers: Numbers) -> str:
        """What made it hold at the step that was asked about last."""

    def holds_in(self, history: History) -> Bools:
        """Whether it holds, for each step of a history; shape (steps,)."""


def parse_breakpoint(text: str) -> StopCondition:
    """Parse a breakpoint.

    Raises:
        UsageError: if it is not a breakpoint.
    """
    text = " ".join(text.split())
    if not text:
        raise UsageError("there is no breakpoint", hint=f"write such as {EXAMPLES}")
    word, _, rest = text.partition(" ")
    if word == "nonfinite" and (not rest or rest.startswith("except ")):
        names = [part.strip(" \"'") for part in rest.removeprefix("except ").split(",")]
        return NonFinite(text, [name for name in names if name])
    if word == "falls":
        return ElboFalls(text, _number(rest, "falls", "3", least=0.1))
    if word == "sign":
        return SignChange(text, rest)
    if word == "still":
        count, _, name = rest.partition(" ")
        return Unchanged(text, int(_number(count, "still", "100", least=1)), name.strip(" \"'"))
    if word == "verdict":
        return _verdict_is(text, rest)
    return parse(text)


def last_step_held(
    stops: Iterable[StopCondition], history: History, before: int
) -> tuple[int, StopCondition] | None:
    """The last step before that one at which one of them held, and which; None if none did."""
    found: tuple[int, StopCondition] | None = None
    for stop in stops:
        at = np.flatnonzero(stop.holds_in(history)[: max(0, before - 1)])
        if at.size and (found is None or at[-1] + 1 > found[0]):
            found = int(at[-1]) + 1, stop
    return found


def describe_at(stop: StopCondition, history: History, step: int) -> str:
    """What made it hold at that step of a history; empty if it did not."""
    text = ""
    # A condition needs one step only; the others need those before it.
    for at in range(step if isinstance(stop, Condition) else 1, step + 1):
        layout = history.layout_at(at)
        if layout is None:
            return ""

        def numbers(column: Column, at: int = at) -> float:
            return float(history.values(column)[at - 1])

        held = stop.met(layout, at, numbers)
        text = stop.describe(layout, at, numbers) if held else ""
    return text


def _number(text: str, word: str, example: str, least: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        what = f"{word} takes a number, at least {least:g}, and this is {text!r}"
        raise UsageError(what, hint=f"as in {word} {example}")
    return value
