"""`elbo-tui run --script "60n 44N 30n"`: the explorer's stepping keys, without a screen."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from tui_elbo.client.commands import MAX_COUNT
from tui_elbo.model.errors import UsageError
from tui_elbo.model.tuning import Tuning, parse_tuning

if TYPE_CHECKING:
    from tui_elbo.cli.printers import Printer
    from tui_elbo.engine.session import Session

EXAMPLE = '"60n 44N 30n"'
COUNTED = {"n": "steps", "N": "takes the run back"}
PLAIN = {
    "f": "runs to the scenario's last step",
    "r": "restarts",
    "G": "changes places with the future left behind",
    "t(lr 0.1)": "changes settings",
}

CHUNK_SECONDS = 0.2


class Press(NamedTuple):
    """A key, after its count."""

    key: str
    times: int = 1
    tuning: Tuning | None = None
    """What is answered to the question that `t` asks."""


def add_script_option(options: argparse.ArgumentParser) -> None:
    """Add what `presses` reads."""
    options.add_argument(
        "--script",
        metavar="KEYS",
        help=f"press keys of the explorer, as in {EXAMPLE}, and print each record as it is made",
    )


def presses(text: str) -> list[Press]:
    """What a script presses.

    Raises:
        UsageError: if something in it is no key that it may have.
    """
    found = []
    for word, answer in re.findall(
        r"(t\(([^)]*)\)|\d*\D|\d+$)", re.sub(r"\s(?![^(]*\))", "", text)
    ):
        count, key = word[:-1], word[-1]
        if word.startswith("t("):
            found.append(Press("t", tuning=parse_tuning(answer)))
        elif key in COUNTED or word in PLAIN:
            found.append(Press(key, max(1, min(int(count or 1), MAX_COUNT))))
        else:
            keys = ", ".join(f"{one} {does}" for one, does in (COUNTED | PLAIN).items())
            raise UsageError(f"{word!r} is no key of a script", hint=f"{keys}: as in {EXAMPLE}")
    if not found:
        raise UsageError("a script presses at least one key", hint=f"as in {EXAMPLE}")
    return found


def asked(chosen: argparse.Namespace) -> list[Press]:
    """What the options ask to be pressed; nothing if there is no script.

    Raises:
        UsageError: if the script is none, or the options do not go together.
    """
    if chosen.script is None:
        return []
    if not chosen.json:
        what = "--script prints records as they are made, and a table has a row for each step"
        raise UsageError(what, hint="add --json")
    for name in ("steps", "until", "lens"):
        if getattr(chosen, name) is not None:
            what = f"--script says where the run goes, and so does --{name}"
            raise UsageError(what, hint="give one of them")
    return presses(chosen.script)


def play(
    session: Session, pressed: list[Press], printer: Printer, stopped: Callable[[], bool]
) -> None:
    """Press the keys; stops on a step whose loss is not finite, as the explorer does.

    Args:
        session: what is run.
        pressed: the keys.
        printer: takes the steps.
        stopped: whether the person has had enough.
    """
    for key, times, change in pressed:
        if change is not None:
            session.tune(change)
        elif key == "G":
            session.swap()
        elif key == "N":
            session.go_to(max(0, session.steps_taken - times))
        elif key == "r":
            session.restart()
        else:
            goal = session.scenario.steps if key == "f" else session.steps_taken + times
            while session.steps_taken < goal and not stopped():
                batches = session.advance(goal - session.steps_taken, CHUNK_SECONDS)
                printer.take(batches, last=session.steps_taken == goal)
                if session.non_finite is not None:
                    return
        if stopped():
            return
