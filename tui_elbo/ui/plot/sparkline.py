"""A row of numbers as a row of small bars."""

from __future__ import annotations

import numpy as np

from tui_elbo.model.records import Floats


def stride(count: int, width: int) -> int:
    """How far apart to look at `count` numbers, so that about eight are looked at for each cell.

    A power of two: the same numbers are looked at for as long as possible.
    """
    return 1 << max(0, (count // (8 * width)).bit_length())


def sparkline(sample: Floats, width: int, bars: str) -> str:
    """The numbers as `width` characters from low to high; what is not finite is a space."""
    if len(sample) == 0:
        return " " * width
    count = min(width, len(sample))
    edges = (np.arange(count) * len(sample)) // count
    finite = np.isfinite(sample)
    low = float(np.min(sample, initial=np.inf, where=finite))
    high = float(np.max(sample, initial=-np.inf, where=finite))
    if not low <= high:
        return " " * width
    # Half of each, so that no difference of two large numbers overflows.
    scale = (high / 2 - low / 2) or 1.0
    share = np.where(finite, (np.where(finite, sample, low) / 2 - low / 2) / scale, 0.0)
    total = np.add.reduceat(finite.astype(float), edges)
    means = np.add.reduceat(share, edges) / np.maximum(total, 1.0)
    level = np.minimum((means * len(bars)).astype(int), len(bars) - 1)
    text = "".join(bars[i] if n else " " for i, n in zip(level.tolist(), total, strict=True))
    return text.ljust(width)
