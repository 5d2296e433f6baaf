"""The tour: why log p rises while SVI runs, in five scenarios and one rule.

Each stop names a scenario of the gallery, says what to press, and says afterwards what was seen,
with the numbers of the run itself. `tests/engine/test_tour.py` checks each claim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from string import Formatter

from tui_elbo.model.attribution import SUM_TERMS
from tui_elbo.model.history import History
from tui_elbo.model.records import ParamRecord
from tui_elbo.model.sentences import SpanSummary, choose_sentence

TERMS = {"log_p": SUM_TERMS[0], "log_q": SUM_TERMS[1], "elbo": SUM_TERMS[2]}


@dataclass(frozen=True)
class Stop:
    """One scenario of the tour."""

    scenario: str
    """Its name in the gallery."""
    key: str
    """The key to press, as Textual and the person name it."""
    ask: str
    """What there is to try, and what to press."""
    seen: str
    """What was seen, for `str.format` with the fields of `numbers`."""


STOPS = (
    Stop(
        "no_theta",
        "f",
        "This model has no pyro.param, so there is no θ. What does SVI optimise, then? Press f: it "
        "takes {steps} steps.",
        "The pane at the right says θ 0 · φ 2: only the guide's parameters moved. log p rose by "
        "about {log_p:.0f} nats all the same, since z is now drawn where log p is high.",
    ),
    Stop(
        "fixed_mean_guide",
        "f",
        "So does SVI always raise log p? Here the model is N(0, 1), the guide N(1, φ), and φ "
        "starts at 0.2. Press f.",
        "No: the ELBO rose by {elbo:.2f} nats while log p fell by {log_p_fall:.2f}, both by φ. SVI "
        "raises log p - log q; log p alone may go either way.",
    ),
    Stop(
        "learned_prior",
        "f",
        "Now the prior has a parameter, a = pyro.param(...). Press f, and watch a.",
        "θ 1: SVI fits the model, too. Of log p's rise φ did {log_p_phi:+.1f} nats, θ "
        "{log_p_theta:+.1f}; a came to {a:.2f}, where the data are most probable. Should one? With "
        "much data for a, yes. Five counts are few: give a a hyperprior (stop 5).",
    ),
    Stop(
        "prior_collapse",
        "f",
        "And with little data? One observation, and the prior's width sigma is a pyro.param. "
        "Press f.",
        "The prior collapsed: sigma fell from 2 to {sigma:.2f} and falls still. log p rose by "
        "{log_p:.1f} nats, the ELBO by {elbo:.1f}: a rising log p alone proves nothing.",
    ),
    Stop(
        "hyperprior_map",
        "f",
        "The usual remedy: a gets a hyperprior, a ~ Gamma(2, 1), and a Delta guide. There is no θ "
        "any more. Press f.",
        "a came to {a_map:.3f}, where the pyro.param came to 0.5: the Delta guide finds one value, "
        "the MAP estimate, and the hyperprior has its say in it.",
    ),
)

RULE = (
    (
        "What SVI does",
        "It raises an estimate of the ELBO, E_q[log p(x, z) - log q(z)], by moving all that is in "
        "the param store. Without a pyro.param in the model that is the guide alone: log p changes "
        "because z is drawn elsewhere. Look at the ELBO, not at log p.",
    ),
    (
        "A pyro.param in the prior is reasonable",
        "when much data bears on it: a scale that many groups share, the weights of a network. "
        "The data then leave little doubt about it, and one value is enough.",
    ),
    (
        "A hyperprior is better",
        "when little data bears on it. The best single value may then lie at the edge, and the "
        "prior collapses. Write a = pyro.sample(...) in the model, and give it a guide.",
    ),
    (
        "What a Delta guide does",
        "AutoDelta, or Delta(pyro.param(...)), keeps one value of a: the MAP estimate, which is "
        "maximum likelihood only where the hyperprior is flat. A guide with a width, such as "
        "AutoNormal, keeps its uncertainty, too.",
    ),
)
"""The rule that the tour ends with: headings and paragraphs."""


def seen_text(stop: Stop, summary: SpanSummary, history: History) -> str:
    """What a stop says of its run; the sentence of the run where a number that it names is not
    known.
    """
    found = numbers(summary, history)
    named = {name for _, name, _, _ in Formatter().parse(stop.seen) if name}
    if any(not math.isfinite(found[name]) for name in named):
        return choose_sentence(summary).text
    return stop.seen.format(**found)


def numbers(summary: SpanSummary, history: History) -> dict[str, float]:
    """The numbers that `Stop.seen` may name.

    Args:
        summary: of the whole run, as the lens has seen it.
        history: its records; parameters are taken from the last.

    Returns:
        `log_p`, `log_q`, `elbo`: what the parameters changed of it, in nats, in expectation;
        `log_p_phi` and so on: the share of φ, of θ; `log_p_fall` and so on: the change the other
        way; and each parameter that is one number, under its name.
    """
    found: dict[str, float] = {}
    for name, term in TERMS.items():
        shares = summary.shares[term].shares
        found[name] = summary.shares[term].together
        found[f"{name}_fall"] = -found[name]
        found |= {f"{name}_{player}": shares.get(player, 0.0) for player in ("phi", "theta")}
    record = history.record(history.last)
    params = record.params if record is not None else {}
    return found | {name: one.value for name, one in params.items() if _is_number(one)}


def _is_number(param: ParamRecord) -> bool:
    return isinstance(param.value, float)
