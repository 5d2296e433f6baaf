"""Each sentence where it must be said, and where it must not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tui_elbo.model.attribution import SUM_TERMS, Player, Term, TermAttribution
from tui_elbo.model.bound import gap_name
from tui_elbo.model.history import History
from tui_elbo.model.sentences import RULES, SpanSummary, choose_sentence
from tui_elbo.model.tour import Stop, seen_text

LOG_P, LOG_Q, ELBO, LIKELIHOOD, PRIOR = SUM_TERMS


def share(
    phi: float | None = None, theta: float | None = None, both: float | None = None
) -> TermAttribution:
    told: dict[Player, float | None] = {"phi": phi, "theta": theta, "both": both}
    moved = {player: value for player, value in told.items() if value is not None}
    return TermAttribution(
        moved, dict.fromkeys(moved, 0.001), 0.0, sum(moved.values()), sum(moved.values())
    )


def scene(
    log_p: TermAttribution,
    log_q: TermAttribution,
    *,
    prior: TermAttribution | None = None,
    likelihood: TermAttribution | None = None,
    gained: float | None = None,
    span: tuple[int, int] = (1, 1000),
    latents: int = 1,
    delta_latents: int = 0,
    spread: dict[Term, float] | None = None,
    nonfinite_draws: int = 0,
) -> SpanSummary:
    moved = {p: log_p.shares[p] - log_q.shares.get(p, 0.0) for p in log_p.shares}
    elbo = TermAttribution(
        moved, dict.fromkeys(moved, 0.001), 0.0, sum(moved.values()), sum(moved.values())
    )
    shares = {LOG_P: log_p, LOG_Q: log_q, ELBO: elbo}
    shares |= {PRIOR: prior or log_p, LIKELIHOOD: likelihood or share(0.0, 0.0)}
    return SpanSummary(
        since=span[0],
        until=span[1],
        shares=shares,
        gained=sum(moved.values()) if gained is None else gained,
        drift=0.0,
        players=tuple(log_p.shares),
        latents=latents,
        delta_latents=delta_latents,
        spread=spread or {LOG_P: 1.2247, LOG_Q: 0.7071, ELBO: 1.0},
        draws=256,
        nonfinite_draws=nonfinite_draws,
    )


def not_split(phi: float, theta: float) -> TermAttribution:
    known = share(phi, theta)
    return replace(known, shares=dict.fromkeys(known.shares, math.nan))


def unsplit() -> SpanSummary:
    seen = scene(share(16.3, -13.5), share(2.0, 0.0))
    return replace(
        seen, shares={**seen.shares, LOG_P: not_split(16.3, -13.5), ELBO: not_split(14.3, -13.5)}
    )


SCENES: dict[str, tuple[SpanSummary, str]] = {
    "moved_to_mass": (
        scene(share(39.9), share(0.8)),
        "No θ here: log p rose 39.9 nats because φ moved q to where p is high.",
    ),
    "spreading": (
        scene(share(-0.48), share(-1.609)),
        "log p fell 0.48 nats while the ELBO rose 1.13, for log q fell 1.61: "
        "q is spreading out to match p.",
    ),
    "exact": (
        scene(
            share(0.0),
            share(0.0),
            gained=41.0,
            span=(900, 1000),
            spread={LOG_P: 0.7, LOG_Q: 0.7, ELBO: 0.0004},
        ),
        "The guide is exact: log p − log q is log p(x) whatever z is drawn. log p and log q go on "
        "jumping (±0.7 nats), but together.",
    ),
    "fitted_model": (
        scene(share(1.2, 2.9), share(-2.0, 0.0), prior=share(1.2, 2.9)),
        "θ took 2.9 of the 4.1 nats that log p rose: the prior is being fitted to the data.",
    ),
    "narrowing": (
        scene(share(2.3, 0.59), share(2.08, 0.0)),
        "log p rose 2.89 nats, but log q rose 2.08 with it: θ narrows the prior and the guide "
        "follows, and the ELBO rose 0.81 nats.",
    ),
    "only_model": (
        scene(share(theta=4.211), share(theta=0.0), latents=0),
        "No latent variable here: log p is the log likelihood, and θ raised it by 4.21 nats. "
        "That is maximum likelihood.",
    ),
    "point_guide": (
        scene(share(3.36), share(0.0), delta_latents=1),
        "The guide is a point, so log q is 0 and the ELBO is log p: φ raised it by 3.36 nats. "
        "That is MAP, and no bound on log p(x).",
    ),
    "worse": (
        scene(share(-2.0), share(0.5)),
        "The ELBO fell 2.5 nats, by φ: the steps are too long, or the gradient too noisy, to hold "
        "the place.",
    ),
    "not_split": (
        unsplit(),
        "The ELBO rose 0.8 nats and log p rose 2.8 nats, by φ and θ together: the looks are too "
        "far apart to tell the parts of φ and θ.",
    ),
    "shared": (
        scene(share(0.1, 0.2, 3.0), share(0.0, 0.0, 0.0)),
        "A parameter that model and guide both read did +3 nats to the ELBO: it is θ and φ in one, "
        "and cannot be split.",
    ),
    "no_parameters": (
        scene(share(), share()),
        "There is no parameter: nothing is optimised, and what you see is the draw (±1.22 nats).",
    ),
    "lens_failed": (
        scene(share(float("nan")), share(float("nan")), nonfinite_draws=3),
        "3 of 256 draws are not finite: log p or log q has no mean there, and no change of it can "
        "be shared out.",
    ),
    "quiet": (
        scene(share(0.0), share(0.0), span=(5, 6)),
        "Little has moved: φ did +0 nats to the ELBO and +0 to log p; the rest is the luck of the "
        "draw (±1.22 nats).",
    ),
}


@pytest.mark.parametrize("rule", SCENES)
def test_it_is_said_where_it_must_be(rule: str) -> None:
    told = choose_sentence(SCENES[rule][0])
    assert (told.rule, told.text) == (rule, SCENES[rule][1])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_it_is_not_said_elsewhere(rule: object) -> None:
    assert callable(rule)
    others = {name for name, (told, _) in SCENES.items() if rule(told)}
    assert rule.__name__ in others
    # Where two could speak, the more telling one comes first in the order of the rules.
    order = [one.__name__ for one in RULES]
    later = {
        name
        for name in others
        if name != "quiet" and order.index(name) > order.index(rule.__name__)
    }
    assert not later, f"{rule.__name__} would speak for {later}"


def test_what_moves_outside_the_store_is_not_called_the_draw() -> None:
    told = choose_sentence(replace(SCENES["no_parameters"][0], drift=0.5))
    assert told.text == (
        "The ELBO rose 0.5 nats, but no parameter of the store that model or guide reads has "
        "moved: what moves is kept elsewhere."
    )


def test_a_span_without_change_is_not_called_the_end() -> None:
    span = scene(share(0.004), share(0.002), gained=1.129, span=(800, 900))
    assert choose_sentence(span).rule == "quiet"
    assert "optimum" not in choose_sentence(span).text


def test_what_is_within_the_lenses_error_is_not_said() -> None:
    own = TermAttribution({"phi": 0.5}, {"phi": 0.4}, 0.0, 0.5, 0.5)
    told = scene(own, share(0.0), span=(1, 10))
    assert choose_sentence(told).rule == "quiet"
    assert choose_sentence(told).text == (
        "φ did +0.5 nats to the ELBO and +0.5 ± 0.4 to log p; the rest is the luck of the draw "
        "(±1.22 nats)."
    )
    told = replace(told, shares={**told.shares, ELBO: own})
    assert choose_sentence(told).text == (
        "Nothing is sure: φ did +0.5 ± 0.4 nats to the ELBO and +0.5 ± 0.4 to log p, so the lens's "
        "256 draws are too few to tell."
    )


def test_a_theta_of_the_likelihood_is_called_so() -> None:
    told = scene(
        share(1.0, 3.0), share(0.0, 0.0), prior=share(1.0, 0.0), likelihood=share(0.0, 3.0)
    )
    assert "the likelihood is being fitted" in choose_sentence(told).text


def test_nothing_is_fitted_by_a_theta_that_lowers_log_p() -> None:
    assert choose_sentence(scene(share(2.21, -0.06), share(1.0, 0.0))).text == (
        "log p rose 2.15 nats: θ did -0.06 of it, φ +2.21."
    )


def test_a_stop_of_the_tour_names_no_share_that_is_not_known() -> None:
    stop = Stop("x", "f", "", "θ did {log_p_theta:.1f} of {log_p:.1f}")
    history = History()
    split = scene(share(1.2, 2.9), share(-2.0, 0.0))
    assert seen_text(stop, split, history) == "θ did 2.9 of 4.1"
    assert seen_text(stop, unsplit(), history) == SCENES["not_split"][1]


def test_the_gap_is_named_as_it_may_be() -> None:
    assert gap_name(("phi",), 0) == "KL(q ‖ posterior)"
    assert gap_name(("phi", "theta"), 0) == "gap to the best θ"
    assert gap_name(("both",), 0) == "gap to the best θ"
    assert gap_name(("phi",), 1) == ""


def test_errors_that_cancel_do_not_make_a_clear_change_unsure():
    moved: dict[Player, float] = {"phi": 9.7, "theta": -6.4}
    log_p = TermAttribution(moved, {"phi": 1.5, "theta": 1.5}, 0.0, 3.3, 3.3)
    seen = scene(log_p, share(2.5, 0.0))
    unsure = replace(seen, shares={**seen.shares, ELBO: replace(log_p, shares=dict(moved))})
    assert choose_sentence(unsure).rule == "quiet"
    sure = replace(unsure, error_bounds={LOG_P: 0.1, ELBO: 0.1})
    assert choose_sentence(sure).rule == "fitted_model"
