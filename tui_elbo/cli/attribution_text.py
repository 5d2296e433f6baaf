"""The accounts of a run as lines of text."""

from __future__ import annotations

import math
from collections.abc import Sized
from typing import TYPE_CHECKING

from tui_elbo.cli.printers import ROLES
from tui_elbo.model.attribution import (
    PLAYERS,
    SUM_TERMS,
    LensPoint,
    ObservedTerms,
    Player,
    Term,
    TermAttribution,
    attribute_change,
)
from tui_elbo.model.bound import bound_lines, evidence_gap_lines, one_digit
from tui_elbo.model.sentences import choose_sentence, summarize_span
from tui_elbo.model.text import safe

if TYPE_CHECKING:
    from tui_elbo.engine.lens.attribution import Attribution
    from tui_elbo.engine.lens.gradients import Pull
    from tui_elbo.engine.session import Session

SIGNS: dict[Player, str] = {"phi": "φ", "theta": "θ", "both": "both"}

NAMES = dict(zip(SUM_TERMS, ("log p", "log q", "ELBO", "  likelihood", "  prior"), strict=True))

ORDER = (SUM_TERMS[0], SUM_TERMS[3], SUM_TERMS[4], SUM_TERMS[1], SUM_TERMS[2])
"""log p with its parts, log q, the ELBO."""

MOST = 20
"""So many sites and parameters are listed, the largest changes first."""


def accounts(start: LensPoint, end: LensPoint, seen: dict[int, ObservedTerms]) -> list[str]:
    """Who moved what between two records."""
    shares = attribute_change(start, end, seen.get(start.state), seen.get(end.state))
    head = f"what moved it, from record {start.state + 1} to {end.state + 1} (nats)"
    players = [player for player in PLAYERS if player != "both" or player in end.players]
    signs = [SIGNS[player] for player in players]
    rows = [["", *signs, "draw", "observed", "expected"]]
    for term in ORDER:
        row, share = end.terms.index(term), shares[term]
        if math.isnan(end.value[row]) and not share.shares:
            continue
        value = f"{_plain(end.value[row])} ± {one_digit(end.error[row])}"
        moved = [_moved(share, player, end) for player in players]
        rows.append([NAMES[term], *moved, _signed(share.draw), _signed(share.observed), value])
    lines = [head, *_table(rows)]
    return [*lines, f"({end.note})"] if end.note else lines


def spoken(
    start: LensPoint, end: LensPoint, seen: dict[int, ObservedTerms], attribution: Attribution
) -> str:
    """The same in a sentence."""
    shares = attribute_change(start, end, seen.get(start.state), seen.get(end.state))
    latents, points = attribution.latents
    return choose_sentence(
        summarize_span(start, end, shares, latents=len(latents), delta_latents=len(points))
    ).text


def by_site(start: LensPoint, end: LensPoint) -> list[str]:
    """What the parameters did to each site, the largest first."""
    found = []
    for term, share in attribute_change(start, end).items():
        if term.site:
            found.append((abs(sum(share.shares.values())), term, share))
    if not found:
        return []
    found.sort(key=lambda one: (-one[0], one[1]))
    rows = [["by site", *(SIGNS[player] for player in end.players)]]
    for _, term, share in found[:MOST]:
        name = f"{NAMES[Term('', term.field)]} {safe(term.site)}"
        rows.append([name, *(_moved(share, player, end) for player in end.players)])
    return [*_table(rows), *_more(found)]


def by_parameter(attribution: Attribution) -> list[str]:
    """How far each parameter has come, and what pulls at it now."""
    (_, changes), pulls = attribution.changes(), attribution.pulls()
    if not changes:
        return ["There is no parameter."]
    rows = [["by parameter (unconstrained)", "change", "pull of log p", "of log q", "of the ELBO"]]
    why = ""
    order = sorted(changes, key=lambda name: -changes[name])
    for name in order[:MOST]:
        role = ROLES[attribution.roles.get(name, "none")]
        own = pulls.get(name)
        told = (own.log_p, own.log_q, own.elbo) if own else (None, None, None)
        row = [f"{role} {safe(name)}", f"{changes[name]:.4g}", *map(_pull, told)]
        why = why or (own.reason if own else "")
        rows.append(row)
    lines = [*_table(rows), *_more(order)]
    return [*lines, f"(–: {why})"] if why else lines


def gap(session: Session, attribution: Attribution) -> list[str]:
    """How far the ELBO is from the evidence, as far as that can be said."""
    players, points = attribution.players, len(attribution.latents[1])
    bound = attribution.weigh()
    evidence = session.scenario.reference.get("log_evidence")
    if evidence is not None and (points or math.isfinite(bound.elbo)):
        error = bound.elbo_error
        parts = evidence_gap_lines(float(evidence), bound.elbo, error, players, points)
        return [("; " if points else ", ").join(parts)]
    text, *more = bound_lines(bound)
    return [", ".join([text, *more[:1]]) + "".join(f"; {one}" for one in more[1:])]


def _moved(share: TermAttribution, player: Player, point: LensPoint) -> str:
    if player not in point.players:
        return "·"
    error = share.errors.get(player, math.nan)
    text = _signed(share.shares.get(player, math.nan))
    return f"{text} ± {one_digit(error)}" if math.isfinite(error) and error > 5e-4 else text


def _pull(pull: Pull | None) -> str:
    return "–" if pull is None else f"{pull.norm:.3g} (snr {pull.snr:.2g})"


def _signed(value: float) -> str:
    return f"{value:+.3f}" if math.isfinite(value) else "–"


def _plain(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _more(found: Sized) -> list[str]:
    count = len(found) - MOST
    return [f"and {count} more"] if count > 0 else []


def _table(rows: list[list[str]]) -> list[str]:
    """Columns side by side, the first to the left and the others to the right."""
    width = max(len(row) for row in rows)
    padded = [row + [""] * (width - len(row)) for row in rows]
    widths = [max(len(row[i]) for row in padded) for i in range(width)]
    return [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(cells)).rstrip()
        for cells in ([*zip(row, widths, strict=True)] for row in padded)
    ]
