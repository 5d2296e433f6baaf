"""What the accounts say, in one plain sentence.

Each rule looks at the accounts of a span and at the kind of scenario, and has a sentence or none;
the first that has one speaks. No sentence is a guess: what it says follows from the numbers, at
twice their standard error at least.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tui_elbo.model.lens_values import OWN, Player, Term
from tui_elbo.model.span_summary import Scene

LOG_P, LOG_Q, ELBO, LIKELIHOOD, PRIOR = OWN

SMALL = 0.02
"""Nats below which nothing is said to have moved."""

REST_STEPS = 30
"""So many steps have to be looked at before anything is said to be at rest."""

REST_SHARE = 0.03
"""At rest is what moves by less than this share of what the run has gained, and of the luck."""

EXACT = 0.01
"""Standard deviation of log p − log q below which the guide is called exact."""


@dataclass(frozen=True)
class Sentence:
    """What is said, and by which rule."""

    rule: str
    text: str


def sentence(scene: Scene) -> Sentence:
    """The first sentence that the scene allows."""
    for rule in RULES:
        text = rule(scene)
        if text:
            return Sentence(rule.__name__, text)
    return Sentence("quiet", quiet(scene))


def quiet(scene: Scene) -> str:
    """Little has moved, or no more than the lens's own error."""
    elbo, log_p = (_signed_by_all(scene, term) for term in (ELBO, LOG_P))
    did = f"{_names(scene.players)} did {elbo} nats to the ELBO and {log_p} to log p"
    if abs(_by_all(scene, ELBO)) >= SMALL and not _clear(scene, ELBO):
        return f"Nothing is sure: {did}, so the lens's {scene.draws} draws are too few to tell."
    head = "Little has moved: " if abs(_by_all(scene, ELBO)) < SMALL else ""
    tail = f"; what is left is the luck of the draw{_luck(scene)}" if _drawn(scene) else ""
    return f"{head}{did}{tail}."


def blind(scene: Scene) -> str:
    """The lens could not look, or what it saw is not finite."""
    if scene.draws == 0:
        return f"{scene.note[:1].upper()}{scene.note[1:]}." if scene.note else "Nothing is seen."
    if scene.bad:
        return (
            f"{scene.bad} of {scene.draws} draws are not finite: log p or log q has no mean there, "
            "and no change of it can be shared out."
        )
    if not math.isfinite(_by_all(scene, LOG_P)):
        return "The lens cannot tell log p of this scenario, so nothing is shared out."
    return ""


def no_parameters(scene: Scene) -> str:
    """There is nothing that an optimiser could move."""
    if scene.players:
        return ""
    if abs(scene.drift) > SMALL:
        return (
            f"The ELBO {_changed(scene.drift)} {_nats(scene.drift)}, but no parameter of the store "
            "that model or guide reads has moved: what moves is kept elsewhere."
        )
    return (
        f"There is no parameter: nothing is optimised, and what you see is the draw{_luck(scene)}."
    )


def exact(scene: Scene) -> str:
    """q has become the posterior, and stays it."""
    spread = scene.spread.get(ELBO, math.nan)
    if not _drawn(scene) or scene.points or not spread < EXACT or not _rests(scene):
        return ""
    return (
        "The guide is exact: log p − log q is log p(x) whatever z is drawn. log p and log q go on "
        f"jumping{_luck(scene)}, but together."
    )


def at_rest(scene: Scene) -> str:
    """The parameters have stopped to matter."""
    if not _rests(scene):
        return ""
    who, move = _names(scene.players), "moves" if len(scene.players) == 1 else "move"
    if not _drawn(scene):
        return f"At the optimum: {who} {move} nothing now, and no draw adds luck to it."
    return (
        f"At the optimum: {who} {move} next to nothing now; what you see is the luck of the draw"
        f"{_luck(scene)}."
    )


def only_model(scene: Scene) -> str:
    """No latent variable: maximum likelihood."""
    moved = _by(scene, LOG_P, "theta")
    if scene.latents or abs(moved) < SMALL:
        return ""
    return (
        f"No latent variable here: log p is the log likelihood, and θ {_raised(moved)} it by "
        f"{_nats(moved)}. That is maximum likelihood."
    )


def narrowing(scene: Scene) -> str:
    """log p rises, and log q takes it all away again: collapse."""
    log_p, log_q, elbo = (_by_all(scene, term) for term in (LOG_P, LOG_Q, ELBO))
    by_theta = _by(scene, LOG_P, "theta")
    if by_theta < 0.5 or not _clear(scene, LOG_P) or log_p < SMALL or log_q < 0.5 * log_p:
        return ""
    return (
        f"log p rose {_nats(log_p)}, but log q rose {log_q:.3g} with it: θ narrows the prior and "
        f"the guide follows, and the ELBO {_changed(elbo)} {_nats(elbo)}."
    )


def fitted_model(scene: Scene) -> str:
    """θ has a clear part in what moved log p."""
    log_p, by_theta = _by_all(scene, LOG_P), _by(scene, LOG_P, "theta")
    if "theta" not in scene.players or not _clear(scene, LOG_P) or abs(by_theta) < SMALL:
        return ""
    prior, likelihood = (_by(scene, term, "theta") for term in (PRIOR, LIKELIHOOD))
    what = "the prior is" if abs(prior) > abs(likelihood) else "the likelihood is"
    if not math.isfinite(prior) or not math.isfinite(likelihood):
        what = "the model is"
    if log_p > 0 and by_theta > 0 and by_theta <= log_p:
        took = f"θ took {by_theta:.3g} of the {_nats(log_p)} that log p rose"
        return f"{took}: {what} being fitted to the data."
    phi = _by(scene, LOG_P, "phi")
    return (
        f"log p {_changed(log_p)} {_nats(log_p)}: θ did {by_theta:+.3g} of it, φ {phi:+.3g}; "
        f"{what} being fitted to the data."
    )


def point_guide(scene: Scene) -> str:
    """A Delta guide: the ELBO is a log joint."""
    log_p = _by_all(scene, LOG_P)
    if not scene.points or scene.points < scene.latents or abs(log_p) < SMALL:
        return ""
    return (
        f"The guide is a point, so log q is 0 and the ELBO is log p: φ {_raised(log_p)} it by "
        f"{_nats(log_p)}. That is MAP, and no bound on log p(x)."
    )


def spreading(scene: Scene) -> str:
    """No θ: log p falls while the ELBO rises, since log q falls further."""
    log_p, log_q, elbo = (_by_all(scene, term) for term in (LOG_P, LOG_Q, ELBO))
    if not _alone(scene) or log_p > -SMALL or elbo < SMALL or not _clear(scene, ELBO):
        return ""
    return (
        f"log p fell {_nats(log_p)} while the ELBO rose {elbo:.3g}, for log q fell {-log_q:.3g}: "
        "q is spreading out to match p."
    )


def moved_to_mass(scene: Scene) -> str:
    """No θ: log p rises by φ alone."""
    log_p, elbo = _by_all(scene, LOG_P), _by_all(scene, ELBO)
    if not _alone(scene) or log_p < SMALL or elbo < -SMALL or not _clear(scene, LOG_P):
        return ""
    return f"No θ here: log p rose {_nats(log_p)} because φ moved q to where p is high."


def worse(scene: Scene) -> str:
    """The ELBO has been lowered by the parameters."""
    elbo = _by_all(scene, ELBO)
    if elbo > -SMALL or not _clear(scene, ELBO):
        return ""
    return (
        f"The ELBO fell {_nats(elbo)}, by {_names(scene.players)}: the steps are too long, or the "
        "gradient too noisy, to hold the place."
    )


def shared(scene: Scene) -> str:
    """A parameter that model and guide both read has the largest part."""
    both = _by(scene, ELBO, "both")
    if abs(both) < SMALL or any(abs(_by(scene, ELBO, p)) > abs(both) for p in ("phi", "theta")):
        return ""
    return (
        f"A parameter that model and guide both read did {both:+.3g} nats to the ELBO: it is θ and "
        "φ in one, and cannot be split."
    )


RULES: tuple[Callable[[Scene], str], ...] = (
    blind,
    no_parameters,
    exact,
    at_rest,
    worse,
    shared,
    only_model,
    point_guide,
    narrowing,
    fitted_model,
    spreading,
    moved_to_mass,
)
"""The first that has something to say speaks."""


def _by(scene: Scene, term: Term, player: Player) -> float:
    share = scene.shares.get(term)
    return 0.0 if share is None else share.moved.get(player, 0.0)


def _by_all(scene: Scene, term: Term) -> float:
    share = scene.shares.get(term)
    return math.nan if share is None else sum(share.moved.values())


def _clear(scene: Scene, term: Term) -> bool:
    """Whether what the parameters did to it is more than the lens's own error."""
    return abs(_by_all(scene, term)) > 2 * _error(scene, term)


def _error(scene: Scene, term: Term) -> float:
    errors = scene.shares[term].errors.values()
    return math.hypot(*(error for error in errors if math.isfinite(error)))


def _rests(scene: Scene) -> bool:
    """Whether the span is long, and what the parameters did in it small beside what they did."""
    if scene.until - scene.since < REST_STEPS:
        return False
    luck = scene.spread.get(LOG_P, math.nan)
    small = REST_SHARE * max(abs(scene.gained), luck if math.isfinite(luck) else 0.0, SMALL)
    return abs(_by_all(scene, ELBO)) <= small


def _signed_by_all(scene: Scene, term: Term) -> str:
    """What the parameters did to it, with the lens's error where that is of any size."""
    error = _error(scene, term)
    text = f"{round(_by_all(scene, term), 3) + 0.0:+.3g}"
    return f"{text} ± {error:.1g}" if error > 0.005 else text


def _alone(scene: Scene) -> bool:
    return scene.players == ("phi",)


def _drawn(scene: Scene) -> bool:
    return scene.latents > scene.points


def _luck(scene: Scene) -> str:
    spread = scene.spread.get(LOG_P, math.nan)
    return f" (±{spread:.3g} nats)" if math.isfinite(spread) and spread > 0 else ""


def _names(players: tuple[Player, ...]) -> str:
    signs = {"phi": "φ", "theta": "θ", "both": "what both read"}
    names = [signs[player] for player in players]
    return " and ".join(names) if names else "nothing"


def _nats(value: float) -> str:
    return f"{abs(value):.3g} nats"


def _raised(value: float) -> str:
    return "raised" if value > 0 else "lowered"


def _changed(value: float) -> str:
    return "rose" if value > 0 else "fell"
