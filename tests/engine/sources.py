"""Scenario files that tests write, and change in one place."""

from __future__ import annotations

from pathlib import Path

HEAD = """
import torch, pyro, pyro.optim
import pyro.distributions as dist
optimizer = pyro.optim.Adam({"lr": 0.05})
"""

SMALL = f"""{HEAD}
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

def guide():
    loc = pyro.param("loc", torch.tensor(-3.0))
    pyro.sample("z", dist.Normal(loc, 0.7))
"""
"""One latent, one observed site, one parameter."""

MODEL, GUIDE = "def model():\n", "def guide():\n"


def small(*, model: str = "", guide: str = "", head: str = "", tail: str = "") -> str:
    """`SMALL`, with lines put at the beginning of its model, its guide or the file, or at its end.

    Args:
        model: Python lines without indentation.
        guide: the same.
        head: put before everything.
        tail: put after everything.
    """
    text = SMALL.replace(MODEL, MODEL + indented(model)).replace(GUIDE, GUIDE + indented(guide))
    return head + text + tail


def indented(lines: str) -> str:
    return "".join(f"    {line}\n" for line in lines.splitlines())


def write(folder: Path, text: str | bytes, name: str = "scenario.py") -> Path:
    """The file with this text; folders are made."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
