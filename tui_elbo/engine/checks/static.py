"""Tries the static rules on a scenario, in a copy of the process that may be changed."""

from __future__ import annotations

import time
import warnings
from typing import Any, NamedTuple

from tui_elbo.engine.checks.catalogue import CATALOGUE
from tui_elbo.engine.checks.look import Look, path_of
from tui_elbo.engine.checks.rule import Rule
from tui_elbo.engine.lens.fork import ForkedCall, LookError, Progress, why_no_fork
from tui_elbo.engine.tracebacks import error_text
from tui_elbo.model.findings import Finding
from tui_elbo.protocol.codec import decode

SECONDS = 3.0
"""Of processor time, after which no further rule is tried."""

SILENCE = 60.0
"""Seconds for a model to run once."""


class Checked(NamedTuple):
    """What the static rules have found."""

    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...]
    """What could not be checked and why, in words."""
    looked: bool = True
    """Whether the model has been run at all."""


def check(scenario: Any, progress: Progress = lambda _done, _of: None) -> Checked:
    """Try every static rule. Runs model and guide, and leaves them changed.

    Args:
        scenario: a `Subject`, with an `optimizer` where that is known.
        progress: called after each rule.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _check(scenario, progress)


def _check(scenario: Any, progress: Progress) -> Checked:
    began = time.process_time()
    static = (rule for rule in CATALOGUE if rule.when == "static")
    rules = sorted(static, key=lambda rule: rule.slow)
    try:
        look = Look(scenario, getattr(scenario, "optimizer", None), path_of(scenario))
    except Exception as error:
        why = f"nothing was checked before the first step: {error_text(error)}"
        return Checked((), (why,), looked=False)
    found: list[Finding] = []
    for done, rule in enumerate(rules):
        if time.process_time() - began > SECONDS:
            left = ", ".join(one.code for one in rules[done:])
            look.explain(f"not checked, for lack of time: {left}")
            break
        found += _tried(rule, look)
        progress(done + 1, len(rules))
    return Checked(tuple(_causes(found)), tuple(look.problems))


def _causes(found: list[Finding]) -> list[Finding]:
    """Without that a step fails, where another error says why."""
    errors = {one.name for one in found if one.level == "error"}
    if len(errors) > 1:
        return [one for one in found if one.name != "step-fails"]
    return found


def _tried(rule: Rule, look: Look) -> list[Finding]:
    try:
        return [rule.finding(found) for found in rule.check(look)]
    except Exception as error:
        look.explain(f"{rule.code} {rule.name} was not checked: {error_text(error)}")
        return []


def begin(scenario: Any) -> ForkedCall:
    """Start the static rules in a forked copy, before the first step.

    Raises:
        LookError: if the process cannot be forked.
    """
    why = why_no_fork()
    if why:
        raise LookError(why)
    return ForkedCall(lambda progress: check(scenario, progress))


def checked(scenario: Any) -> Checked:
    """The findings of the static rules; the process stays as it is."""
    try:
        return finished(begin(scenario))
    except LookError as error:
        return could_not(error)


def finished(call: ForkedCall) -> Checked:
    """Wait for what was begun.

    Raises:
        LookError: if it gives no answer.
    """
    found: Checked = decode(call.wait(SILENCE), Checked)
    return found


def could_not(error: LookError) -> Checked:
    """That nothing was checked, and why."""
    return Checked((), (f"nothing was checked before the first step: {error}",), looked=False)
