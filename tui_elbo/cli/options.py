"""What the commands' options have in common."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import Any

from tui_elbo.cli import completion
from tui_elbo.model.scenarios import CHECKPOINT_MEMORY, MAX_SEED
from tui_elbo.model.verdict import NATS, Tolerance

MAX_MEMORY = 2**62

MAX_SECONDS = 10 * 365 * 86400.0

MAX_THREADS = 4096
"""More than a machine has; far more would abort the process when torch starts them."""


EXAMPLES: dict[str, tuple[str, ...]] = {
    "elbo-tui": (
        "elbo-tui no_theta",
        "elbo-tui my/model.py --seed 3",
        "elbo-tui --draws 64 coin",
        "elbo-tui ./runs",
    ),
    "elbo-tui tour": ("elbo-tui tour", "elbo-tui tour --ascii"),
    "elbo-tui run": (
        "elbo-tui run no_theta --steps 300",
        "elbo-tui run model.py --until 'elbo > -1.2' --every 10 --csv > steps.csv",
        "elbo-tui run model.py --steps 500 --save my.run",
        "elbo-tui run --from my.run --steps 1000 --json",
    ),
    "elbo-tui sweep": (
        "elbo-tui sweep no_theta --seeds 0:8 --set lr=0.01,0.03 --out runs",
        "elbo-tui sweep m.py --set particles=1,10 --until converged --out runs",
        "elbo-tui sweep m.py --guide AutoNormal,AutoIAFNormal --out runs --json",
        "elbo-tui sweep m.py --seeds 0:64 --on dask:tcp://10.0.0.1:8786 --out runs",
    ),
    "elbo-tui compare": (
        "elbo-tui compare runs",
        "elbo-tui compare one.run other.run",
        "elbo-tui compare runs --csv > runs.csv",
    ),
    "elbo-tui report": (
        "elbo-tui report runs > runs.html",
        "elbo-tui report runs --format markdown -o runs.md",
    ),
    "elbo-tui explain": (
        "elbo-tui explain fixed_mean_guide",
        "elbo-tui explain my/model.py --steps 500 --seed 1",
    ),
    "elbo-tui noise": (
        "elbo-tui noise eight_schools",
        "elbo-tui noise my/model.py --steps 500 --seconds 30 --json",
        "elbo-tui noise no_theta --steps 100 --scan",
    ),
    "elbo-tui check": ("elbo-tui check my/model.py", "elbo-tui check my/model.py --steps 0 --json"),
    "elbo-tui rule": ("elbo-tui rule", "elbo-tui rule SVI012"),
    "elbo-tui list": ("elbo-tui list", "elbo-tui list --json"),
    "elbo-tui new": ("elbo-tui new coin.py", "elbo-tui new experiments/first"),
    "elbo-tui watch": (
        "elbo-tui watch train.py --epochs 20",
        "elbo-tui watch -m package.train",
        "elbo-tui watch --hold train.py",
        "elbo-tui watch --headless train.py > log.txt",
    ),
    "elbo-tui runs": ("elbo-tui runs", "elbo-tui runs --json"),
    "elbo-tui attach": ("elbo-tui attach", "elbo-tui attach no_theta-2 --ascii"),
    "elbo-tui end": ("elbo-tui runs", "elbo-tui end no_theta-2"),
    "elbo-tui serve": (
        "elbo-tui serve no_theta --steps 5000",
        "elbo-tui serve my/model.py --linger 2h &",
    ),
    "elbo-tui completion": (
        """bash, in ~/.bashrc:               eval "$(elbo-tui completion bash)\"""",
        """zsh, in ~/.zshrc after compinit:  eval "$(elbo-tui completion zsh)\"""",
        "fish, in config.fish:              elbo-tui completion fish | source",
    ),
}
"""Of each command, for the end of its help."""


class _Parser(argparse.ArgumentParser):
    """Parses, unless a shell asks how its line may go on."""

    _answers = False

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """Answer a shell that asks; else parse."""
        if completion.is_asked() and not self._answers:
            self._answers = True  # argcomplete parses what has been typed so far.
            completion.complete(self)
        return super().parse_known_args(*args, **kwargs)


def parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser whose help keeps the description's lines, and ends with examples."""
    examples = "\n".join(f"  {line}" for line in EXAMPLES.get(prog, ()))
    return _Parser(
        prog=prog,
        description=description,
        epilog=f"examples:\n{examples}" if examples else None,
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


def seconds(text: str) -> float:
    """A positive number of seconds, for argparse."""
    value = float(text)
    if not 0 < value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"must be above 0, and is {text}")
    return value


def tolerance(text: str) -> Tolerance:
    """The type of a positive number of nats, or of standard deviations, for argparse."""
    of_spread = text.endswith("sd")
    value = float(text.removesuffix("sd"))
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, and is {text}")
    return Tolerance(value, of_spread)


def _given(text: str) -> tuple[str, str]:
    from tui_elbo.model.own_settings import parse_given  # noqa: PLC0415 - only what a command needs

    return parse_given(text)


def add_engine_options(to: argparse.ArgumentParser) -> None:
    """Add what both the explorer and `run` pass on to the engine."""
    to.add_argument(
        "--seed",
        type=whole(0, MAX_SEED),
        metavar="S",
        help="of the run; default: the scenario's own, else 0",
    )
    to.add_argument(
        "--set",
        dest="given",
        action="append",
        type=_given,
        default=[],
        metavar="NAME=VALUE",
        help='of a setting that the scenario declares, as in settings = {"width": 0.1}; may be '
        "given several times",
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
        type=tolerance,
        default=NATS,
        metavar="NATS",
        help="of the verdict: what is left to gain does not matter below it; default: 0.1 nats; "
        "0.5sd: half of the standard deviation of log p - log q from draw to draw of the guide",
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
