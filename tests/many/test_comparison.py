"""Which run and which setting is better, against closed forms."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from tui_elbo.model.comparison import (
    Evaluation,
    ModelFingerprint,
    SiteFingerprint,
    compare_settings,
    difference,
    holm_levels,
    unevaluated,
    why_not_comparable,
)

SITE = SiteFingerprint(False, "Normal", (), (), "", -0.9)
DATA = SiteFingerprint(True, "Normal", (3,), ("data",), "abc", -4.0)
MODEL = ModelFingerprint({"z": SITE, "x": DATA}, {})


def seen(units: object, guide: str = "a", model: ModelFingerprint = MODEL) -> Evaluation:
    return Evaluation(model, guide, np.asarray(units, dtype=np.float64), 0.1)


def test_two_runs_of_one_guide_are_compared_draw_by_draw() -> None:
    noise = np.random.default_rng(0).normal(size=256)
    found = difference(seen(noise + 1.25), seen(noise))
    assert found.value == pytest.approx(1.25)
    assert found.mcse == pytest.approx(0.0, abs=1e-12)


def test_two_guides_are_compared_as_independent_draws() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 100))
    found = difference(seen(one), seen(other, guide="b"))
    expected = math.sqrt(one.var(ddof=1) / 100 + other.var(ddof=1) / 100)
    assert found.mcse == pytest.approx(expected)


def changed(site: str, **fields: object) -> ModelFingerprint:
    sites = MODEL.sites | {site: msgspec.structs.replace(MODEL.sites[site], **fields)}
    return ModelFingerprint(sites, {})


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (MODEL, ""),
        (ModelFingerprint({"x": DATA}, {}), "other sites: z"),
        (changed("x", data="abd"), "the data of site x differ"),
        (changed("x", shape=(4,)), r"shape \(3,\) in one model and \(4,\)"),
        (changed("x", plates=()), "other plates"),
        (changed("z", observed=True), "observed in one"),
        (changed("z", dist="Laplace"), "Normal in one model and Laplace"),
        (changed("z", log_prob=-1.4), "log p of site z"),
        (changed("z", log_prob=-0.9 + 1e-7), ""),
        (ModelFingerprint(MODEL.sites, {"a": "1"}), r"other parameters \(θ\): a"),
        (ModelFingerprint({}, {}, "it raises"), "it raises"),
    ],
)
def test_runs_are_compared_only_if_their_models_are_the_same(
    other: ModelFingerprint, why: str
) -> None:
    import re

    found = why_not_comparable(seen([1.0]), seen([2.0], model=other))
    assert bool(found) == bool(why)
    assert re.search(why, found)


def test_models_that_have_learned_other_parameters_are_others() -> None:
    one, other = (seen([0.0], model=ModelFingerprint(MODEL.sites, {"a": d})) for d in "12")
    assert "its parameter a (θ) differs" in why_not_comparable(one, other)
    assert why_not_comparable(one, one) == ""


def test_what_has_no_elbo_is_compared_with_nothing() -> None:
    assert why_not_comparable(seen([1.0]), unevaluated("its last step is not finite"))


def test_a_setting_is_compared_by_its_seeds() -> None:
    """Against the paired t interval of the seeds where the draws have no error."""
    from scipy.stats import t

    gains = np.array([0.5, 0.9, 1.3, 1.1])
    noise = np.random.default_rng(1).normal(size=64)
    base = {seed: seen(noise) for seed in range(4)}
    better = {seed: seen(noise + gain) for seed, gain in enumerate(gains)}
    (found,), left_out = compare_settings({"lr 0.01": base, "lr 0.03": better})
    half = t.isf(0.025, 3) * gains.std(ddof=1) / 2
    assert left_out == []
    assert (found.better, found.worse, found.seeds) == ("lr 0.03", "lr 0.01", 4)
    assert (found.low, found.high) == pytest.approx((gains.mean() - half, gains.mean() + half))
    assert str(found).startswith("lr 0.03 is 0.95 nats better than lr 0.01 (95 % interval 0.4")


def test_the_error_of_the_draws_counts_although_all_seeds_share_it() -> None:
    """Seeds that agree to the bit do not make a difference certain that the draws leave open."""
    one, other = np.random.default_rng(2).normal(size=(2, 64))
    groups = {"a": dict.fromkeys(range(8), seen(one)), "b": dict.fromkeys(range(8), seen(other))}
    (found,), _ = compare_settings(groups)
    error = (one - other).std(ddof=1) / 8
    assert found.high - found.low == pytest.approx(2 * 1.998 * error, rel=1e-3)


def test_one_seed_is_no_comparison() -> None:
    found, left_out = compare_settings({"a": {0: seen([1.0, 2.0])}, "b": {0: seen([1.0, 3.0])}})
    assert found == []
    assert "at least two seeds" in left_out[0]


def test_holm_goes_on_as_long_as_it_rejects() -> None:
    """Holm (1979): 0.01 ≤ 0.05/3, then 0.03 > 0.05/2, so what comes after is kept as well."""
    assert holm_levels([0.03, 0.01, 0.04]) == [0.025, 0.05 / 3, 0.025]
    assert holm_levels([0.01, 0.02, 0.03]) == [0.05 / 3, 0.025, 0.05]
    assert holm_levels([]) == []


def test_the_intervals_cover() -> None:
    """In 400 simulated sweeps of 6 seeds the interval misses in about one of twenty."""
    random = np.random.default_rng(3)
    missed = 0
    for _ in range(400):
        noise = random.normal(size=64)
        shared = 0.3 * random.normal(size=64)
        a = {s: seen(noise + 0.4 * random.normal()) for s in range(6)}
        b = {s: seen(noise + shared + 0.7 + 0.4 * random.normal()) for s in range(6)}
        (found,), _ = compare_settings({"a": a, "b": b})
        signed = (found.low, found.high) if found.better == "b" else (-found.high, -found.low)
        missed += not signed[0] <= 0.7 <= signed[1]
    assert missed <= 0.08 * 400


def normal(x: np.ndarray, mean: float | np.ndarray, sd: float) -> np.ndarray:
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


def student_t(x: np.ndarray, freedom: float) -> np.ndarray:
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    scale -= 0.5 * math.log(freedom * math.pi)
    return scale - (freedom + 1) / 2 * np.log1p(x**2 / freedom)


MODELS = {
    "normal mean": lambda z: normal(z, 0.0, 1.0) + normal(0.5, z, 1.0),
    "ten observations": lambda z: normal(z, 0.0, 1.0) + 10 * normal(0.7, z, 1.0),
    "logistic": lambda z: normal(z, 0.0, 2.0) - 6 * np.log1p(np.exp(-z)) - 2 * np.log1p(np.exp(z)),
    "Poisson": lambda z: normal(z, 0.0, 1.0) + 7 * z - 2 * np.exp(z),
    "Student's t": lambda z: normal(z, 0.0, 3.0) + student_t(1.0 - z, 4.0) + student_t(-z, 4.0),
    "two modes": lambda z: np.logaddexp(normal(z, -3.0, 0.7), normal(z, 3.0, 0.7) + 1.0),
}
"""log p(x, z) of one latent each: nats."""


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("same_guide", [True, False])
def test_two_standard_errors_cover_the_known_difference(name: str, same_guide: bool) -> None:
    """Of the ELBOs of two normal guides, which quadrature gives, in 200 pairs of runs."""
    log_p = MODELS[name]
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    rng, covered = np.random.default_rng(3), 0

    def exact(mean: float, sd: float) -> float:
        z = mean + sd * nodes
        values = log_p(z) - normal(z, mean, sd)
        return float((weights * values).sum() / weights.sum())

    for _ in range(200):
        guides = [(rng.normal() * 0.7, math.exp(rng.normal() * 0.4 - 0.7)) for _ in range(2)]
        noise = rng.normal(size=256)
        seen = []
        for label, (mean, sd) in zip("aa" if same_guide else "ab", guides, strict=True):
            z = mean + sd * noise
            seen.append(Evaluation(MODEL, label, log_p(z) - normal(z, mean, sd), 0.1))
            noise = noise if same_guide else rng.normal(size=256)
        found = difference(*seen)
        truth = exact(*guides[0]) - exact(*guides[1])
        covered += found.low <= truth <= found.high
    assert covered >= 0.9 * 200
