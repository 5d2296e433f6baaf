"""What the fake engine tells: layouts, and numbers that are a pure function of the step."""

from __future__ import annotations

import math

from tui_elbo.records import Column, Layout, ParamInfo, SiteInfo


def layout(names=("phi",), sites=("z",), note="") -> Layout:
    params = tuple(ParamInfo(name, "guide", (), "positive") for name in names)
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
        columns += [
            Column("param", param.name, f) for f in ("value[0]", "grad_norm", "update_norm")
        ]
    return Layout(1, infos, params, tuple(columns), note)


def numbers(shape: Layout, step: int) -> list[float]:
    wave = math.sin(step * 12.9898) * 0.5
    log_q = -1.4 - math.exp(-step / 30) + 0.3 * wave
    log_p = -6.0 - 8 * math.exp(-step / 25) + wave
    table = {"loss": log_q - log_p, "elbo": log_p - log_q, "log_p": log_p, "log_q": log_q}
    table |= {"value[0]": 1 - 0.8 * math.exp(-step / 40), "grad_norm": math.exp(-step / 40)}
    table |= {"update_norm": 0.02 * math.exp(-step / 40), "seconds": 0.001}
    out = []
    for column in shape.columns:
        value = table[column.field]
        if column.kind == "site":
            value = value / 2 if column.field == "log_p" else value
        out.append(value)
    return out
