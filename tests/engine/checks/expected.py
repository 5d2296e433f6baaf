"""What must be found in each scenario of the gallery, and what must not be said of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Expected:
    """Of one scenario."""

    found: dict[tuple[str, str], int] = field(default_factory=dict)
    """Rule and subject, each with the step by which it must be found; 1: before the first step."""
    forbidden: tuple[str, ...] = ()
    """Words and sentences that must not be on the screen at steps 50, 100, 300 and at the end."""


DONE = ("At the optimum", "stationary", "converged", "Stationary")
"""What no run that a fault holds may be called."""

FITTED = ("being fitted", "exact")
"""What a prior that collapses must not be called."""

HEALTHY = (
    "coin",
    "coin_map",
    "conjugate_normal",
    "eight_schools_non_centred",
    "exponential_mle",
    "fixed_mean_guide",
    "hyperprior_map",
    "learned_prior",
    "minibatch",
    "no_theta",
    "regression_full_rank",
)
"""Neither an error nor a warning, at any step."""

EXPECTED: dict[str, Expected] = {
    **{name: Expected() for name in HEALTHY},
    "eight_schools": Expected(),
    "network": Expected(),
    "prior_collapse": Expected({("prior-collapses", "sigma"): 300}, FITTED),
    "regression": Expected(),
    "two_modes": Expected({("no-data", ""): 1}),
    "fixed_mean_guide": Expected({("no-data", ""): 1}),
    "minibatch_forgotten_scale": Expected({("minibatch-without-scale", "data"): 1}, DONE),
    "flat_slope": Expected({("missing-in-guide", "slope"): 1}, DONE),
    "misspelt_site": Expected(
        {("not-in-model", "rates"): 1, ("missing-in-guide", "rate"): 1}, DONE
    ),
    "guide_with_data": Expected({("observed-in-model", "height"): 1}, DONE),
    "normal_for_a_rate": Expected({("outside-support", "rate"): 1}, DONE),
    "copied_parameter": Expected({("no-gradient", "loc"): 1}, DONE),
    "parameter_at_the_top": Expected({("unread-parameter", "dry"): 1}, DONE),
    "unconstrained_scale": Expected({("missing-constraint", "width"): 1}, DONE),
    "left_from_last_fit": Expected(
        {("initial-value-ignored", "loc"): 1, ("initial-value-ignored", "scale"): 1}, DONE
    ),
    "masked_gaps": Expected({("masked-nan", "temperature"): 1}, DONE),
    "two_subsamples": Expected({("indices-differ", "groups"): 1}, DONE),
    "short_last_batch": Expected({("batch-size-changes", "rows"): 1}, DONE),
    "row_and_column": Expected({("more-terms-than-data", "y"): 1}, DONE),
    "penalty_in_a_plate": Expected({("factor-shape", "penalty"): 1}, DONE),
    "labels_left_to_luck": Expected({("enumerate-ignored", "label"): 1}, DONE),
    "schedule_for_epochs": Expected({("rate-will-vanish", ""): 1}, DONE),
    "decoder_stays_random": Expected({("not-in-store", "decoder"): 1}, DONE),
    "point_of_a_hierarchy": Expected({("unbounded-map", "spread"): 1}, DONE),
    "same_start": Expected({("equal-rows", "means"): 400}, DONE),
    "noise_too_small": Expected({("likelihood-misfit", "weight"): 600}, DONE),
}
"""By the name of the file. What may be found besides is a note."""

TROUBLE = frozenset(name for name in EXPECTED if name not in HEALTHY and EXPECTED[name].found) - {
    "two_modes",
    "minibatch_forgotten_scale",
} | {"same_start", "noise_too_small"}
"""Faults to be found by the person: they have no known answer, and some of them fail."""
