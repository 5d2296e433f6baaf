"""Three steps of a run with everything that a condition may name."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from tui_elbo.model.records import Batch, Column, Layout, ParamInfo, SiteInfo

NAN, INF = math.nan, math.inf
IDS = itertools.count()

SITES = (SiteInfo("z", False, "Normal", (), ()), SiteInfo("x", True, "Normal", (4,), ()))
PARAMS = (
    ParamInfo("phi", "guide", (), "positive"),
    ParamInfo("w", "model", (2, 2), "real"),
    ParamInfo("net$$$weight", "model", (10, 10), "real"),
)


def columns() -> dict[Column, list[float]]:
    """Three steps of everything."""
    own = {
        "loss": [3.0, NAN, 1.0],
        "elbo": [-3.0, NAN, -1.0],
        "log_p": [-4.0, -INF, -1.5],
        "log_q": [-1.0, 2.0, -0.5],
        "seconds": [0.01, 0.02, 0.03],
    }
    found = {Column("step", "", name): values for name, values in own.items()}
    found |= {
        Column("site", "z", "log_p"): [-1.0, -2.0, -3.0],
        Column("site", "z", "log_q"): [-1.0, 2.0, -0.5],
        Column("site", "x", "log_p"): [-3.0, -INF, 1.5],
        Column("param", "phi", "value[0]"): [0.5, 1.0, 1.5],
        Column("param", "phi", "grad_norm"): [1.0, 200.0, 3.0],
        Column("param", "phi", "update_norm"): [0.1, 0.2, 0.3],
    }
    for element in range(4):
        found[Column("param", "w", f"value[{element}]")] = [element * k for k in (1.0, -1.0, 2.0)]
    found[Column("param", "w", "grad_norm")] = [5.0, 6.0, NAN]
    found[Column("param", "w", "update_norm")] = [0.0, 0.0, 0.0]
    sums = {"mean": [0, 1, 2], "sd": [1, 1, 1], "min": [-3, -2, -1], "max": [3, 4, 5]}
    for name, values in sums.items():
        found[Column("param", "net$$$weight", name)] = [float(value) for value in values]
    return found


def layout_of(
    found: dict[Column, Any], sites: tuple[SiteInfo, ...] = SITES, note: str = ""
) -> Layout:
    params = tuple(info for info in PARAMS if any(c.name == info.name for c in found))
    return Layout(next(IDS), sites, params, tuple(found), note)


def batch_of(found: dict[Column, list[float]], first: int = 1, **more: Any) -> Batch:
    return Batch(layout_of(found, **more), first, np.array(list(found.values()), dtype=np.float64))


def at(batch: Batch, step: int) -> Any:
    return lambda column: batch.values[batch.layout.index[column], step - batch.first]
