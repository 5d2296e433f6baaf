"""What the commands' options have in common."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tui_elbo.scenario import MAX_SEED

MAX_THREADS = 4096
"""More than a machine has; far more would abort the process when torch starts them."""


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser whose help keeps the description's lines."""
    return argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """The type of a whole number from `least` to `most`, for argparse."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, and is {value}")
        if most is not None and value > most:
            raise argparse.ArgumentTypeError(f"must be at most {most}, and is {value}")
        return value

    number.__name__ = "whole number"
    return number


def add_engine_options(to: argparse.ArgumentParser) -> None:
    """Add what both the explorer and `run` pass on to the engine."""
    to.add_argument(
        "--seed",
        type=whole(0, MAX_SEED),
        metavar="S",
        help="of the run; default: the scenario's own, else 0",
    )
    to.add_argument(
        "--threads",
        type=whole(1, MAX_THREADS),
        default=1,
        metavar="N",
        help="torch's threads; default: 1",
    )
    to.add_argument("--device", help="torch's default device, such as cuda; default: torch's own")
    to.add_argument("--traceback", action="store_true", help="print the traceback of an error")
