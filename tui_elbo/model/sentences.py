"""What moved the terms over a span of steps, in one plain sentence.

Each rule reads the summary of a span (its attribution and the kind of scenario) and returns a
sentence or an empty string; the first sentence is the one shown. No sentence is a guess: what it
says follows from the numbers, at twice their standard error at least.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tui_elbo.model.attribution import (
    SUM_TERMS,
    TOO_FAR_APART,
    LensPoint,
    Player,
    Term,
    TermAttribution,
)
from tui_elbo.model.estimate import one_digit, significant

LOG_P, LOG_Q, ELBO, LIKELIHOOD, PRIOR = SUM_TERMS


@dataclass(frozen=True)
class SpanSummary:
    """A span of steps: its attribution, and the kind of scenario."""

    since: int
    """The step of the span's first record; 1 for the whole run."""
    until: int
    """The step of its last."""
    shares: Mapping[Term, TermAttribution]
    """The attribution of the span."""
    gained: float
    """What the parameters changed of the ELBO from step 1 on: nats."""
    drift: float
    """The change of the ELBO, by the lens, that no parameter of the store explains: nats."""
    players: tuple[Player, ...]
    latents: int
    """How many sites the guide draws."""
    delta_latents: int
    """How many of them have a Delta in the guide."""
    spread: Mapping[Term, float]
    """Standard deviation of one draw, at the end of the span; NaN where a draw has none."""
    draws: int
    nonfinite_draws: int
    """Draws of the lens that are not finite."""
    note: str = ""
    """A remark on how the lens draws; empty when there is none."""
    error_bounds: Mapping[Term, float] = field(default_factory=dict)
    """What the standard error of the change by all parameters together is at most, in nats."""


def summarize_span(
    start: LensPoint,
    end: LensPoint,
    shares: Mapping[Term, TermAttribution],
    *,
    latents: int,
    delta_latents: int,
) -> SpanSummary:
    """Summarize the span between two lens points.

    Args:
        start: the earlier one.
        end: the later one.
        shares: their attribution.
        latents: how many sites the guide draws.
        delta_latents: how many of them have a Delta in the guide.
    """
    row = end.terms.index(ELBO)
    change = float(end.value[row] - start.value[start.terms.index(ELBO)])
    explained = shares[ELBO].together if ELBO in shares else 0.0
    return SpanSummary(
        since=start.state + 1,
        until=end.state + 1,
        shares=shares,
        gained=float(end.total[:, row].sum()),
        drift=change - explained,
        players=end.players,
        latents=latents,
        delta_latents=delta_latents,
        spread={term: float(end.spread[i]) for i, term in enumerate(end.terms)},
        draws=end.draws,
        nonfinite_draws=end.nonfinite_draws,
        note=end.note,
        error_bounds=_error_bounds(start, end, shares),
    )


def _error_bounds(
    start: LensPoint, end: LensPoint, shares: Mapping[Term, TermAttribution]
) -> dict[Term, float]:
    """The sum of the standard errors at both ends.

    φ and θ that move against each other have large errors, which cancel in their sum; what they
    changed together is the difference of the ends, where nothing else has changed it.
    """
    bounds = {}
    for term, share in shares.items():
        if term in start.terms and term in end.terms:
            first, last = start.terms.index(term), end.terms.index(term)
            change = float(end.value[last] - start.value[first])
            if math.isclose(share.together, change, rel_tol=1e-6, abs_tol=1e-6):
                bounds[term] = float(start.error[first] + end.error[last])
    return bounds


SMALL = 0.02
"""Changes below so many nats count as none."""

REST_STEPS = 30
"""A shorter span does not show that the guide stays exact."""

REST_SHARE = 0.03
"""A change below this fraction of what the run has gained, or of one draw's spread, is none."""

EXACT = 0.01
"""Standard deviation of log p − log q below which the guide is called exact."""


@dataclass(frozen=True)
class Sentence:
    """A sentence, and the rule that gave it."""

    rule: str
    text: str


def choose_sentence(span: SpanSummary) -> Sentence:
    """The sentence of the first rule that applies."""
    for rule in RULES:
        text = rule(span)
        if text:
            return Sentence(rule.__name__, text)
    return Sentence("quiet", quiet(span))


def quiet(span: SpanSummary) -> str:
    """Little has changed, or no more than the lens's standard error."""
    elbo, log_p = (_signed_by_all_players(span, term) for term in (ELBO, LOG_P))
    did = f"{_names(span.players)} did {elbo} nats to the ELBO and {log_p} to log p"
    if abs(_by_all_players(span, ELBO)) >= SMALL and not _clear(span, ELBO):
        return f"Nothing is sure: {did}, so the lens's {span.draws} draws are too few to tell."
    head = "Little has moved: " if abs(_by_all_players(span, ELBO)) < SMALL else ""
    tail = f"; the rest is the luck of the draw{_draw_spread(span)}" if _has_draws(span) else ""
    return f"{head}{did}{tail}."


def lens_failed(span: SpanSummary) -> str:
    """The lens failed, or its terms are not finite."""
    if span.draws == 0:
        return f"{span.note[:1].upper()}{span.note[1:]}." if span.note else "Nothing is seen."
    if span.nonfinite_draws:
        return (
            f"{span.nonfinite_draws} of {span.draws} draws are not finite: log p or log q has no "
            "mean there, and no change of it can be shared out."
        )
    if not math.isfinite(_by_all_players(span, LOG_P)):
        return "The lens cannot tell log p of this scenario, so nothing is shared out."
    return ""


def no_parameters(span: SpanSummary) -> str:
    """There is nothing that an optimiser could move."""
    if span.players:
        return ""
    if abs(span.drift) > SMALL:
        return (
            f"The ELBO {_changed(span.drift)} {_nats(span.drift)}, but no parameter of the store "
            "that model or guide reads has moved: what moves is kept elsewhere."
        )
    return (
        "There is no parameter: nothing is optimised, and what you see is the draw"
        f"{_draw_spread(span)}."
    )


def exact(span: SpanSummary) -> str:
    """q equals the posterior, and stays equal."""
    spread = span.spread.get(ELBO, math.nan)
    if not _has_draws(span) or span.delta_latents or not spread < EXACT or not _rests(span):
        return ""
    return (
        "The guide is exact: log p − log q is log p(x) whatever z is drawn. log p and log q go on "
        f"jumping{_draw_spread(span)}, but together."
    )


def only_model(span: SpanSummary) -> str:
    """No latent variable: maximum likelihood."""
    moved = _by_player(span, LOG_P, "theta")
    if span.latents or abs(moved) < SMALL:
        return ""
    return (
        f"No latent variable here: log p is the log likelihood, and θ {_raised(moved)} it by "
        f"{_nats(moved)}. That is maximum likelihood."
    )


def narrowing(span: SpanSummary) -> str:
    """log p rises, and log q rises as much: collapse."""
    log_p, log_q, elbo = (_by_all_players(span, term) for term in (LOG_P, LOG_Q, ELBO))
    by_theta = _by_player(span, LOG_P, "theta")
    if by_theta < 0.5 or not _clear(span, LOG_P) or log_p < SMALL or log_q < 0.5 * log_p:
        return ""
    return (
        f"log p rose {_nats(log_p)}, but log q rose {significant(log_q)} with it: θ narrows the "
        f"prior and the guide follows, and the ELBO {_changed(elbo)} {_nats(elbo)}."
    )


def fitted_model(span: SpanSummary) -> str:
    """θ has a clear share of the change of log p."""
    log_p, by_theta = _by_all_players(span, LOG_P), _by_player(span, LOG_P, "theta")
    if "theta" not in span.players or not _clear(span, LOG_P) or abs(by_theta) < SMALL:
        return ""
    prior, likelihood = (_by_player(span, term, "theta") for term in (PRIOR, LIKELIHOOD))
    what = "the prior is" if abs(prior) > abs(likelihood) else "the likelihood is"
    if not math.isfinite(prior) or not math.isfinite(likelihood):
        what = "the model is"
    if log_p > 0 and by_theta > 0 and by_theta <= log_p:
        took = f"θ took {significant(by_theta)} of the {_nats(log_p)} that log p rose"
        return f"{took}: {what} being fitted to the data."
    phi = _by_player(span, LOG_P, "phi")
    # A θ that lowers log p follows the guide: nothing is being fitted by it.
    fitted = f"; {what} being fitted to the data" if by_theta > 0 else ""
    return (
        f"log p {_changed(log_p)} {_nats(log_p)}: θ did {significant(by_theta, signed=True)} of "
        f"it, φ {significant(phi, signed=True)}{fitted}."
    )


def point_guide(span: SpanSummary) -> str:
    """A Delta guide: the ELBO is a log joint."""
    log_p = _by_all_players(span, LOG_P)
    if not span.delta_latents or span.delta_latents < span.latents or abs(log_p) < SMALL:
        return ""
    return (
        f"The guide is a point, so log q is 0 and the ELBO is log p: φ {_raised(log_p)} it by "
        f"{_nats(log_p)}. That is MAP, and no bound on log p(x)."
    )


def spreading(span: SpanSummary) -> str:
    """No θ: log p falls while the ELBO rises, since log q falls further."""
    log_p, log_q, elbo = (_by_all_players(span, term) for term in (LOG_P, LOG_Q, ELBO))
    if not _only_phi(span) or log_p > -SMALL or elbo < SMALL or not _clear(span, ELBO):
        return ""
    return (
        f"log p fell {_nats(log_p)} while the ELBO rose {significant(elbo)}, for log q fell "
        f"{significant(-log_q)}: q is spreading out to match p."
    )


def moved_to_mass(span: SpanSummary) -> str:
    """No θ: log p rises by φ alone."""
    log_p, elbo = _by_all_players(span, LOG_P), _by_all_players(span, ELBO)
    if not _only_phi(span) or log_p < SMALL or elbo < -SMALL or not _clear(span, LOG_P):
        return ""
    return f"No θ here: log p rose {_nats(log_p)} because φ moved q to where p is high."


def worse(span: SpanSummary) -> str:
    """The parameters lowered the ELBO."""
    elbo = _by_all_players(span, ELBO)
    if elbo > -SMALL or not _clear(span, ELBO):
        return ""
    return (
        f"The ELBO fell {_nats(elbo)}, by {_names(span.players)}: the steps are too long, or the "
        "gradient too noisy, to hold the place."
    )


def not_split(span: SpanSummary) -> str:
    """The way that the parameters took is not known well enough to share out what they did."""
    if all(span.shares[term].split for term in (LOG_P, ELBO) if term in span.shares):
        return ""
    elbo, log_p = (_by_all_players(span, term) for term in (ELBO, LOG_P))
    return (
        f"The ELBO {_changed(elbo)} {_nats(elbo)} and log p {_changed(log_p)} {_nats(log_p)}, by "
        f"{_names(span.players)} together: {TOO_FAR_APART}."
    )


def shared(span: SpanSummary) -> str:
    """A parameter that model and guide both read has the largest share."""
    both = _by_player(span, ELBO, "both")
    if abs(both) < SMALL or any(
        abs(_by_player(span, ELBO, p)) > abs(both) for p in ("phi", "theta")
    ):
        return ""
    return (
        f"A parameter that model and guide both read did {significant(both, signed=True)} nats to "
        "the ELBO: it is θ and φ in one, and cannot be split."
    )


RULES: tuple[Callable[[SpanSummary], str], ...] = (
    lens_failed,
    no_parameters,
    exact,
    worse,
    not_split,
    shared,
    only_model,
    point_guide,
    narrowing,
    fitted_model,
    spreading,
    moved_to_mass,
)
"""In order of precedence."""


def _by_player(span: SpanSummary, term: Term, player: Player) -> float:
    share = span.shares.get(term)
    return 0.0 if share is None else share.shares.get(player, 0.0)


def _by_all_players(span: SpanSummary, term: Term) -> float:
    share = span.shares.get(term)
    return math.nan if share is None else share.together


def _clear(span: SpanSummary, term: Term) -> bool:
    """Whether the parameters changed it by more than the lens's standard error."""
    return abs(_by_all_players(span, term)) > 2 * _error(span, term)


def _error(span: SpanSummary, term: Term) -> float:
    errors = span.shares[term].errors.values()
    apart = math.hypot(*(error for error in errors if math.isfinite(error)))
    bound = span.error_bounds.get(term, math.inf)
    return min(apart, bound) if math.isfinite(bound) else apart


def _rests(span: SpanSummary) -> bool:
    """Whether the span is long, and the parameters changed little in it."""
    if span.until - span.since < REST_STEPS:
        return False
    draw_spread = span.spread.get(LOG_P, math.nan)
    small = REST_SHARE * max(
        abs(span.gained), draw_spread if math.isfinite(draw_spread) else 0.0, SMALL
    )
    return abs(_by_all_players(span, ELBO)) <= small


def _signed_by_all_players(span: SpanSummary, term: Term) -> str:
    """What the parameters changed of it, with the lens's standard error unless that is tiny."""
    error = _error(span, term)
    text = significant(round(_by_all_players(span, term), 3) + 0.0, signed=True)
    return f"{text} ± {one_digit(error)}" if error > 0.005 else text


def _only_phi(span: SpanSummary) -> bool:
    return span.players == ("phi",)


def _has_draws(span: SpanSummary) -> bool:
    return span.latents > span.delta_latents


def _draw_spread(span: SpanSummary) -> str:
    spread = span.spread.get(LOG_P, math.nan)
    return f" (±{significant(spread)} nats)" if math.isfinite(spread) and spread > 0 else ""


def _names(players: tuple[Player, ...]) -> str:
    signs = {"phi": "φ", "theta": "θ", "both": "what both read"}
    names = [signs[player] for player in players]
    return " and ".join(names) if names else "nothing"


def _nats(value: float) -> str:
    return f"{significant(abs(value))} nats"


def _raised(value: float) -> str:
    return "raised" if value > 0 else "lowered"


def _changed(value: float) -> str:
    return "rose" if value > 0 else "fell"
