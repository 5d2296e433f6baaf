"""What the fake engine tells: layouts, and numbers that are a pure function of the step."""

from __future__ import annotations

import math

import numpy as np

from tui_elbo.model.attribution import SUM_TERMS, Term, TermSamples
from tui_elbo.model.noise import NoiseRow, NoiseTable
from tui_elbo.model.rate_scan import RateRow, RateScan
from tui_elbo.model.records import SUMMARY, Column, Layout, ParamInfo, SiteInfo
from tui_elbo.protocol import Histogram, ParamInspected, Summary

NOISE = np.random.default_rng(0).standard_normal((2, 32))


def layout(names=("phi",), sites=("z",), note="", shapes=()) -> Layout:
    shapes = shapes or ((),) * len(names)
    params = tuple(
        ParamInfo(name, "guide", shape, "positive")
        for name, shape in zip(names, shapes, strict=True)
    )
    infos = tuple(SiteInfo(name, False, "Normal", (), ()) for name in sites)
    infos += (SiteInfo("x", True, "Normal", (4,), ()),)
    columns = [Column("step", "", field) for field in ("loss", "seconds")]
    if not note:
        columns += [Column("step", "", field) for field in ("elbo", "log_p", "log_q")]
        for info in infos:
            columns.append(Column("site", info.name, "log_p"))
            if not info.observed:
                columns.append(Column("site", info.name, "log_q"))
    for param in params:
        size = math.prod(param.shape)
        fields = SUMMARY if size > 16 else [f"value[{i}]" for i in range(size)]
        columns += [Column("param", param.name, f) for f in (*fields, "grad_norm", "update_norm")]
    return Layout(1, infos, params, tuple(columns), note)


def level(step: int) -> float:
    return 1 - 0.8 * math.exp(-step / 40)


def inspected(name: str, step: int) -> ParamInspected:
    if name == "gone":
        return ParamInspected(name, step, None, None, None, "the store has no such parameter")
    size, elements = (2000, ()) if name == "weights" else (3, (1.0, 0.5, 0.25))
    now = Summary(size, level(step), 0.1, -0.3, 1.5, 0, elements)
    free = Summary(size, math.log(level(step)), 0.2, -2.0, 0.4, 0, elements and (0.0, -0.7, -1.4))
    spread = Histogram(-0.2, 0.2, (1, 20, 300, 100, 4), 2)
    return ParamInspected(name, step, now, free, spread)


def numbers(shape: Layout, step: int) -> list[float]:
    wave = math.sin(step * 12.9898) * 0.5
    log_q = -1.4 - math.exp(-step / 30) + 0.3 * wave
    log_p = -6.0 - 8 * math.exp(-step / 25) + wave
    table = {"loss": log_q - log_p, "elbo": log_p - log_q, "log_p": log_p, "log_q": log_q}
    table |= {f"value[{i}]": level(step) / (i + 1) for i in range(3)}
    table |= {"mean": level(step), "sd": 0.1, "min": -0.3, "max": 1.5}
    table |= {"grad_norm": math.exp(-step / 40)}
    table |= {"update_norm": 0.02 * math.exp(-step / 40), "seconds": 0.001}
    out = []
    for column in shape.columns:
        value = table[column.field]
        if column.kind == "site":
            value = value / 2 if column.field == "log_p" else value
        out.append(value)
    return out


def reading(shape: Layout, state: int) -> TermSamples:
    """What the lens sees: the curves of `numbers` without their wave, and noise of its own."""
    likelihood = np.full(32, -3.0 - 4 * math.exp(-(state + 1) / 25))
    prior = likelihood + (1 + math.exp(-state / 40)) * 0.2 * NOISE[0]
    log_p = likelihood + prior
    log_q = -1.4 - math.exp(-(state + 1) / 30) + 0.1 * NOISE[1]
    latents = [site.name for site in shape.sites if not site.observed]
    share = [(Term(name, "log_p"), prior / len(latents)) for name in latents]
    rows = [log_p, log_q, log_p - log_q, likelihood, prior, *(row for _, row in share)]
    return TermSamples((*SUM_TERMS, *(term for term, _ in share)), np.array(rows), 32)


def noise_table(step: int) -> NoiseTable:
    """Two settings, the second better, and one that does not fit."""
    rows = (
        NoiseRow("Trace_ELBO", 1, present=True, noise=2.0, seconds=0.001, cost=1.0, cost_error=0.0),
        NoiseRow(
            *("TraceMeanField_ELBO", 10, True),
            noise=0.5,
            seconds=0.002,
            cost=0.125,
            cost_error=0.1,
            bias=0.0,
            bias_error=0.02,
        ),
        NoiseRow("TraceGraph_ELBO", 1, problem="[red]it does not fit"),
    )
    nan = np.nan
    table = np.array([[2.0, 0.1], [0.5, 0.02], [nan, nan]])
    return NoiseTable(step, rows, params=("loc", "scale"), by_param=table, remarks=("3 rounds",))


def rate_scan(step: int) -> RateScan:
    """The second rate is better than the present one."""
    rows = (
        RateRow(0.1, 0.002, -1.0, 0.1),
        RateRow(1.0, 0.02, 0.0, 0.0),
        RateRow(10.0, 0.2, 2.5, 0.1),
    )
    return RateScan(step, 100, 6, rows, 1.5, 0.1)
