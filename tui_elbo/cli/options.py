"""What the commands' options have in common."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

from tui_elbo.model.scenarios import CHECKPOINT_MEMORY, MAX_SEED
from tui_elbo.model.verdict import TOLERANCE

MAX_MEMORY = 2**62

MAX_SECONDS = 10 * 365 * 86400.0

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


def memory(text: str) -> int:
    """The type of an amount of memory, for argparse: bytes, or with K, M or G behind."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be such as 64M, and is {text!r}")
    value = float(match[1]) * 1024 ** " KMG".index(match[2].upper() or " ")
    if value > MAX_MEMORY:
        raise argparse.ArgumentTypeError(f"must be at most {MAX_MEMORY}, and is {text}")
    return int(value)


def nats(text: str) -> float:
    """The type of a positive number of nats, for argparse."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, and is {text}")
    return value


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
    to.add_argument(
        "--checkpoint-memory",
        type=memory,
        default=CHECKPOINT_MEMORY,
        metavar="SIZE",
        help="for going back, such as 64M (the default); 0: every step back is run again",
    )
    to.add_argument(
        "--tolerance",
        type=nats,
        default=TOLERANCE,
        metavar="NATS",
        help="of the verdict: what is left to gain does not matter below it; default: 0.1",
    )
    to.add_argument("--device", help="torch's default device, such as cuda; default: torch's own")
    to.add_argument(
        "--lens-in-process",
        action="store_true",
        help="where CUDA is in use, look inside the process of the run, since a forked copy cannot "
        "use CUDA: what a model keeps in Python variables, generators or iterators of its own may "
        "then change",
    )
    to.add_argument("--traceback", action="store_true", help="print the traceback of an error")


def duration(text: str) -> float:
    """Seconds, from `90`, `30s`, `15m`, `24h` or `7d`, for argparse."""
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:], 0)
    value = float(text[:-1] if unit else text) * (unit or 1)
    if not 0 <= value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"must be from 0 to ten years, and is {text}")
    return value


def add_linger(to: argparse.ArgumentParser) -> None:
    """Add for how long a run without a terminal waits."""
    to.add_argument(
        "--linger",
        type=duration,
        default=24 * 3600.0,
        metavar="TIME",
        help="how long a run that was left waits when it has nothing to do; default: 24h",
    )
