"""Rules on plates, minibatches and data: SVI020 to SVI039."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pyro
import torch
from torch import Tensor

from tui_elbo.engine.checks.look import Look, Pass, Site, base_of, log_prob
from tui_elbo.engine.checks.rule import Found, Rule
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.tracebacks import error_text
from tui_elbo.model.estimate import significant
from tui_elbo.model.findings import Subject

BATCHES = 1000
"""Steps whose batches are looked at."""

SECONDS = 0.3
"""For looking at batches."""

OFF = 1.5
"""A scale off by this factor is reported; a last batch of another size is not."""


def _site(name: str) -> Subject:
    return Subject("site", name)


def _size(shape: Any) -> int:
    return int(torch.Size(shape).numel())


def _terms_shape(site: Site) -> tuple[int, ...]:
    """The shape of a site's log probability, as its value and its distribution are broadcast."""
    fn, event = site.fn, len(site.fn.event_shape)
    whole = tuple(fn.batch_shape) + tuple(fn.event_shape)
    with suppress(ValueError):
        whole = np.broadcast_shapes(whole, tuple(site.value.shape))
    return whole[: len(whole) - event]


def uncovered(site: Site) -> tuple[int, ...]:
    """The dimensions of a site's batch, from the right, that no plate is responsible for."""
    shape = _terms_shape(site)
    covered = {frame.dim for frame in site.node["cond_indep_stack"] if frame.vectorized}
    return tuple(d for d in range(-1, -len(shape) - 1, -1) if shape[d] > 1 and d not in covered)


def _vector_outside_plate(look: Look) -> Iterator[Found]:
    told: set[str] = set()
    for side, sites in (("model", look.model_sites), ("guide", look.guide_sites)):
        for name, site in sites.items():
            open_dims = uncovered(site)
            if not open_dims or name in told or _more_terms(site) or _is_factor(site):
                continue
            if side == "model" and name in look.guide_sites and not uncovered_alone(site):
                continue  # the guide gives it another shape
            if look.counts_nothing(name):
                continue
            told.add(name)
            shape = _terms_shape(site)
            sizes = " × ".join(str(shape[dim]) for dim in sorted(open_dims))
            message = f'"{name}" in the {side} draws {sizes} values at once and is in no plate'
            count = len(open_dims)
            hint = f'put it in `with pyro.plate("...", {shape[-1]}):` if its values '
            hint += f"are independent, or add .to_event({count}) to its distribution"
            yield Found(_site(name), message, hint, line=site.line, level=_fails(look))


def uncovered_alone(site: Site) -> bool:
    """Whether the distribution itself has a dimension that no plate is responsible for."""
    shape = site.fn.batch_shape
    covered = {frame.dim for frame in site.node["cond_indep_stack"] if frame.vectorized}
    return any(shape[dim] > 1 and dim not in covered for dim in range(-1, -len(shape) - 1, -1))


def _fails(look: Look) -> Any:
    """An error if Pyro refuses the step; a warning where its validation is off."""
    failed = bool(look.estimates) and all(one.error is not None for one in look.estimates)
    return "error" if failed else "warning"


def _is_factor(site: Site) -> bool:
    return type(base_of(site.fn)).__name__ == "Unit"


def _more_terms(site: Site) -> int:
    """How many terms an observed site has; 0 unless that is more than it has observations.

    What is repeated along a plate is meant to be.
    """
    value = site.value
    if not site.observed or _is_factor(site) or value.numel() <= 1:
        return 0
    fn, given = site.fn, tuple(value.shape)
    event, batch = tuple(fn.event_shape), tuple(fn.batch_shape)
    try:
        whole = np.broadcast_shapes(batch + event, given)
    except ValueError:
        return 0
    padded = (1,) * (len(whole) - len(given)) + given
    dims = [dim - len(event) for dim in uncovered(site)] + [-1 - i for i in range(len(event))]
    return _size(whole) if any(padded[dim] < whole[dim] for dim in dims) else 0


def _too_many_terms(look: Look) -> Iterator[Found]:
    for name, site in look.observed.items():
        terms = _more_terms(site)
        if terms:
            data = site.value.numel()
            shape = tuple(site.fn.batch_shape) + tuple(site.fn.event_shape)
            message = f'"{name}" has {terms} terms for {data} observations'
            evidence = f"data of shape {tuple(site.value.shape)}, distribution of shape {shape}"
            yield Found(_site(name), message, evidence=evidence, line=site.line)


def _factor(look: Look) -> Iterator[Found]:
    for name, site in look.observed.items():
        if not _is_factor(site):
            continue
        terms = base_of(site.fn).log_factor
        if uncovered(site):
            shape = tuple(terms.shape)
            message = f'the factor "{name}" has shape {shape}, more than its plates'
            hint = "sum it: pyro.factor(name, terms.sum()), or put it into a plate of its own"
            yield Found(_site(name), message, hint, line=site.line, level=_fails(look))
            continue
        repeated = 1
        for dim in range(terms.dim()):
            if terms.stride(dim) == 0 and terms.shape[dim] > 1:
                repeated *= terms.shape[dim]
        if repeated > 1 and repeated == terms.numel():
            frames = [f.name for f in site.node["cond_indep_stack"] if f.size > 1]
            where = f'plate "{frames[-1]}"' if frames else "a plate"
            message = f'the factor "{name}" is one number, and counts {repeated} times in {where}'
            hint = "take it out of the plate, or give it a term for each element"
            yield Found(_site(name), message, hint, line=site.line, level="warning")


def _plate_size(look: Look) -> Iterator[Found]:
    for name, site in look.observed.items():
        shape = tuple(site.value.shape)
        shape = shape[: len(shape) - len(site.fn.event_shape)]
        for frame in site.node["cond_indep_stack"]:
            if not frame.vectorized or -frame.dim > len(shape) or _is_factor(site):
                continue
            rows = shape[frame.dim]
            # A plate that is given no size has -1, and fits whatever is in it.
            if frame.size > 0 and rows not in (1, frame.size):
                message = f'plate "{frame.name}" has {frame.size} elements, and the data of '
                message += f'"{name}" have {rows}'
                yield Found(Subject("plate", frame.name), message, line=site.line)
                return
    error = look.main.error
    text = "" if error is None else str(error)
    name = text.partition("plate('")[2].partition("'")[0]
    if name and "mismatch" in text.lower():
        sizes = " and ".join(word for word in text.replace(",", " ").split() if word.isdigit())
        message = f'plate "{name}" and a site in it have different sizes'
        yield Found(Subject("plate", name), message, evidence=sizes)


def _plates_differ(look: Look) -> Iterator[Found]:
    model, guide = _frames(look.main, "model"), _frames(look.main, "guide")
    for name, (size, line) in guide.items():
        if name in model and model[name][0] != size:
            message = f'plate "{name}" has {model[name][0]} elements in the model'
            message += f" and {size} in the guide"
            yield Found(Subject("plate", name), message, line=line)


def _frames(one: Pass, side: str) -> dict[str, tuple[int, int]]:
    """Full size of each plate around a site, and the line of the first."""
    found: dict[str, tuple[int, int]] = {}
    for site in one.sites(side).values():
        for frame in site.node["cond_indep_stack"]:
            if frame.vectorized and frame.size > 0:
                size = int(getattr(frame, "full_size", None) or frame.size)
                found.setdefault(frame.name, (size, site.line))
    return found


def _indices_differ(look: Look) -> Iterator[Found]:
    for name, (given, used) in look.main.chosen.items():
        if given.shape != used.shape or not torch.equal(given, used):
            message = f'the guide chooses other elements of plate "{name}" than the model'
            evidence = f"model {_few(given)}, guide {_few(used)}"
            yield Found(Subject("plate", name), message, evidence=evidence)


def _few(values: Tensor) -> str:
    numbers = ", ".join(str(int(value)) for value in values.reshape(-1)[:4])
    return f"{numbers}, …" if values.numel() > 4 else numbers


def _total(site: Site) -> float:
    """What the terms of a site count for: elements times scale."""
    scale = torch.as_tensor(site.node["scale"], dtype=torch.float64)
    shape = site.fn.batch_shape
    return float(scale.expand(shape).sum()) if scale.dim() else float(scale) * _size(shape)


def _forgotten_scale(look: Look) -> Iterator[Found]:
    if look.by_messenger or look.main.error is not None or not look.observed:
        return
    yield from _rows_drawn_in_model(look)
    if look.scenario.full_batch is not None:
        yield from _against_all(look)
    else:
        yield from _against_batches(look)


def _rows_drawn_in_model(look: Look) -> Iterator[Found]:
    """Data that the model chooses anew in each run, outside of a plate's subsample."""
    runs = [look.run_model(seed, look.main.model) for seed in (SEED, SEED + 1)]
    if any(run.error is not None for run in runs):
        return
    seen_sites = [run.sites("model") for run in runs]
    for name, site in look.observed.items():
        found = [sites.get(name) for sites in seen_sites]
        unscaled = float(torch.as_tensor(site.node["scale"]).max()) == 1.0
        if None in found or not unscaled or _is_factor(site):
            continue
        one, other = (seen.value.reshape(-1).sort().values for seen in found if seen is not None)
        if one.shape == other.shape and torch.equal(one.nan_to_num(), other.nan_to_num()):
            continue  # The same, or in another order.
        if not _outside(look, site):
            continue
        message = f'the data of "{name}" differ between two runs in which all sites are the same, '
        message += "and are not scaled"
        hint = "a minibatch is drawn, and scaled, by a plate: with pyro.plate(name, number of all "
        hint += "data, subsample_size=n) as index"
        yield Found(_site(name), message, hint, line=site.line)


def _against_all(look: Look) -> Iterator[Found]:
    assert look.scenario.full_batch is not None
    whole: Any = look.scenario.full_batch()
    every = look.run(SEED, whole).sites("model") if isinstance(whole, tuple) else {}
    totals: dict[str, list[float]] = {}
    for step in range(1, 6):
        for name, site in look.run(SEED, look.batch(step)).sites("model").items():
            if site.observed and not _is_factor(site):
                totals.setdefault(name, []).append(_total(site))
    for name, found in totals.items():
        if name not in every or not every[name].observed:
            continue
        want, have = _total(every[name]), sum(found) / len(found)
        if have < want and not _outside(look, look.observed[name]):
            continue  # Every term scales alike, as in a VAE.
        if have > 0 and not 1 / OFF < want / have < OFF and want > 0:
            yield _scaled_wrongly(look.observed[name], have, want, every[name])
        else:
            yield from _larger_plate(every[name], whole)


def _larger_plate(site: Site, whole: tuple[Any, ...]) -> Iterator[Found]:
    """All data, as `full_batch` gives them, are less than a plate says that there are."""
    for frame in site.node["cond_indep_stack"]:
        if not frame.vectorized or -frame.dim > len(site.fn.batch_shape):
            continue
        rows = site.fn.batch_shape[frame.dim]
        # A model that chooses rows itself has fewer of them than it was given.
        given = any(isinstance(one, Tensor) and one.dim() and len(one) == rows for one in whole)
        size = frame.full_size or frame.size
        if given and size > OFF * rows:
            message = f'"{site.name}" in plate "{frame.name}" counts for {size} observations'
            message += f", and there are {rows}"
            hint = f"give the plate the number of all data: {rows}"
            yield Found(Subject("plate", frame.name), message, hint, line=site.line)


def _outside(look: Look, site: Site) -> list[Site]:
    """The latents that share no plate with a site."""
    plates = {f.name for f in site.node["cond_indep_stack"]}
    return [
        one
        for one in look.latents.values()
        if not plates.intersection(f.name for f in one.node["cond_indep_stack"])
    ]


def _scaled_wrongly(site: Site, have: float, want: float, whole: Site | None = None) -> Found:
    frames = {f.name: f.size for f in site.node["cond_indep_stack"] if f.vectorized}
    full = {} if whole is None else {f.name: f.size for f in whole.node["cond_indep_stack"]}
    plates = [name for name, size in frames.items() if full.get(name, size) == size]
    plates += [name for name in frames if name not in plates]
    subject = Subject("plate", plates[-1]) if plates else _site(site.name)
    where = f' in plate "{plates[-1]}"' if plates else ""
    counted = f"{significant(have, 4)} of {significant(want, 4)} observations"
    message = f'"{site.name}"{where} counts for {counted}: the minibatch is not scaled'
    if have > want:
        message = f'"{site.name}"{where} counts for {significant(have, 4)} observations'
        message += f", and there are {significant(want, 4)}"
    hint = f"give the plate its full size: pyro.plate(name, {want:.0f}, subsample_size=len(batch))"
    if have > want:
        hint = "give the plate the number of all data, and scale it only once"
    return Found(subject, message, hint, line=site.line)


def _against_batches(look: Look) -> Iterator[Found]:
    """Without `full_batch()`: rows that come again show that there are more than one batch has."""
    unscaled = [
        site
        for site in look.observed.values()
        if not _is_factor(site) and float(torch.as_tensor(site.node["scale"]).max()) == 1.0
    ]
    plates = {f.name for site in unscaled for f in site.node["cond_indep_stack"]}
    outside = [
        site
        for site in look.latents.values()
        if not plates.intersection(f.name for f in site.node["cond_indep_stack"])
    ]
    if not unscaled or not outside:
        return
    index, size, rows = _rows_seen(look)
    if index is None or rows <= OFF * size:
        return
    for site in unscaled:
        if site.fn.batch_shape and site.fn.batch_shape[-1] == size:
            found = _scaled_wrongly(site, float(size), float(rows))
            evidence = f"its batches have {rows} different rows together"
            yield found._replace(evidence=evidence)


def _rows_seen(look: Look) -> tuple[int | None, int, int]:
    """Which argument, its rows in a batch, and how many different ones batches have together.

    Nothing is known unless rows come again: a stream of new data has no size.
    """
    first, began = look.args, time.process_time()
    for index, one in enumerate(first):
        if not isinstance(one, Tensor) or not one.dim() or not len(one):
            continue
        seen: set[bytes] = set()
        count = 0
        for step in range(1, min(BATCHES, look.scenario.steps) + 1):
            if time.process_time() - began > SECONDS:
                break
            batch = look.batch(step)
            if len(batch) <= index or not isinstance(batch[index], Tensor):
                break
            rows = batch[index].detach().cpu()
            count += len(rows)
            seen |= {row.numpy().tobytes() for row in rows}
        if len(seen) < count and len(seen) > len(one):
            return index, len(one), len(seen)
    return None, 0, 0


def _counted_again(look: Look) -> Iterator[Found]:
    """A plate draws a subsample, and the model takes the same values whatever is drawn.

    Nothing is known where the data are an argument: it may be another minibatch at each step.
    """
    if look.args or look.by_messenger or look.scenario.full_batch is not None:
        return
    passes = [one.sites("model") for one in look.passes[1:] if one.error is None]
    for name, site in look.observed.items():
        others = [sites.get(name) for sites in passes]
        same = [one is not None and torch.equal(one.value, site.value) for one in others]
        shape = tuple(site.value.shape)[: site.value.dim() - len(site.fn.event_shape)]
        if not same or not all(same) or _is_factor(site):
            continue
        for frame in site.node["cond_indep_stack"]:
            if not frame.vectorized or -frame.dim > len(shape):
                continue
            rows, size = shape[frame.dim], int(frame.full_size or frame.size)
            values = site.value.movedim(frame.dim - len(site.fn.event_shape), 0)
            if 1 < rows < size and len(torch.unique(values, dim=0)) > 1:
                message = f'"{name}" has the same {rows} values at each step, and plate '
                message += f'"{frame.name}" has them count {size / rows:.3g} times each'
                hint = f"give the plate the number of the data: pyro.plate(name, {rows}); or take "
                hint += "those that the plate draws: with pyro.plate(...) as index, data[index]"
                yield Found(Subject("plate", frame.name), message, hint, line=site.line)


def _counted_many_times(look: Look) -> Iterator[Found]:
    """Data that are the same at each step, and count more than once, beside latents that do not."""
    if look.by_messenger or look.main.error is not None or not _data_stay(look):
        return
    scaled = {name: _own_scale(site) for name, site in look.observed.items()}
    scaled = {name: times for name, times in scaled.items() if times > OFF}
    passes = [one.sites("model") for one in look.passes[1:] if one.error is None] if scaled else []
    for name, times in scaled.items():
        site = look.observed[name]
        others = [sites.get(name) for sites in passes]
        same = [one is not None and torch.equal(one.value, site.value) for one in others]
        once = [one for one in _outside(look, site) if _own_scale(one) == 1.0]
        if not (once and same and all(same)) or _is_factor(site):
            continue
        message = (
            f'each value of "{name}" counts {significant(times, 4)} times, by a scale that is '
        )
        message += f'around it, and not around "{once[0].name}"'
        evidence = "the data are the same at each step, and no plate takes a subsample of them"
        yield Found(_site(name), message, "", evidence, line=site.line)


def _data_stay(look: Look) -> bool:
    """Whether model and guide are called with the same tensors at each step."""
    if look.scenario.full_batch is not None:
        return False
    later = [look.batch(step) for step in (2, 3)]
    return all(
        len(other) == len(look.args)
        and all(
            one is two or (isinstance(one, Tensor) and isinstance(two, Tensor) and _equal(one, two))
            for one, two in zip(look.args, other, strict=True)
        )
        for other in later
    )


def _equal(one: Tensor, two: Tensor) -> bool:
    return one.shape == two.shape and torch.equal(one.nan_to_num(), two.nan_to_num())


def _own_scale(site: Site) -> float:
    """What a site is scaled by, other than for a subsample; NaN where its elements differ."""
    scale = torch.as_tensor(site.node["scale"], dtype=torch.float64)
    if not scale.numel() or bool((scale != scale.reshape(-1)[0]).any()):
        return math.nan
    times = float(scale.reshape(-1)[0])
    for frame in site.node["cond_indep_stack"]:
        times *= frame.size / (frame.full_size or frame.size)
    return times if abs(times - 1) > 1e-6 else 1.0


def _batches_change(look: Look) -> Iterator[Found]:
    """A later batch of another size, which the guide's parameters do not fit."""
    if look.main.error is not None or look.by_messenger or not look.args:
        return
    shapes = _shapes(look.args)
    began = time.process_time()
    for step in range(2, min(look.scenario.steps, BATCHES) + 1):
        if time.process_time() - began > SECONDS:
            return
        args = look.batch(step)
        if _shapes(args) == shapes:
            continue
        later = look.run(SEED, args)
        model, guide = _frames(later, "model"), _frames(later, "guide")
        differ = [name for name in model if name in guide and guide[name][0] != model[name][0]]
        if later.error is None and not differ:
            return
        evidence = "" if later.error is None else error_text(later.error)
        usual = _frames(look.main, "model")
        for name, (size, line) in usual.items():
            now = model.get(name, (size, 0))[0]
            if now != size:
                message = f'plate "{name}" has {size} elements at step 1 and {now} at step {step}'
                message += ", which the guide does not fit"
                yield Found(Subject("plate", name), message, evidence=evidence, line=line)
                return
        if later.error is not None:
            message = f"the data of step {step} have another shape than those of step 1, and fail"
            yield Found(Subject("data"), message, evidence=evidence)
        return


def _shapes(args: tuple[Any, ...]) -> list[Any]:
    return [tuple(one.shape) if isinstance(one, Tensor) else None for one in args]


def _nan(value: Tensor) -> int:
    if not value.is_floating_point():
        return 0
    return int((~torch.isfinite(value)).sum())


def _bad_data(look: Look) -> Iterator[Found]:
    for name, site in look.observed.items():
        count = 0 if _is_factor(site) else _nan(site.value)
        if count and not _hidden(site):
            what = "nan" if bool(torch.isnan(site.value).any()) else "infinite"
            message = f'{count} of {site.value.numel()} values of "{name}" are {what}'
            yield Found(_site(name), message, line=site.line)


def _hidden(site: Site) -> bool:
    """Whether a mask takes out all terms that are not finite."""
    try:
        return bool(torch.isfinite(log_prob(site)).all())
    except Exception:
        return False


def _masked_nan(look: Look) -> Iterator[Found]:
    for name, site in look.observed.items():
        count = 0 if _is_factor(site) else _nan(site.value)
        if not count or not _hidden(site):
            continue
        for one in look.estimates:
            bad = [n for n, g in one.gradients.items() if g is not None and _nan(g)]
            if bad and one.loss == one.loss:
                message = f'the mask hides {count} values of "{name}" that are nan from the loss,'
                message += " and not from the gradient"
                evidence = f'the gradient of "{bad[0]}" is not finite, the loss is {one.loss:.4g}'
                yield Found(_site(name), message, evidence=evidence, line=site.line)
                break


def _bad_gradient(look: Look) -> Iterator[Found]:
    masked = any(_nan(s.value) for s in look.observed.values() if not _is_factor(s))
    if masked or not look.estimates:
        return
    bad: dict[str, int] = {}
    for one in look.estimates:
        if one.error is None and abs(one.loss) < float("inf"):
            for name, gradient in one.gradients.items():
                if gradient is not None and _nan(gradient):
                    bad[name] = bad.get(name, 0) + 1
    for name, count in bad.items():
        if count == len(look.estimates):
            message = f'the gradient of "{name}" is not finite, though the loss is'
            line = look.main.lines.get(("guide", name), look.main.lines.get(("model", name), 0))
            yield Found(Subject("param", name), message, line=line)


def _data_off_support(look: Look) -> Iterator[Found]:
    refused = bool(look.estimates) and all(
        one.error is not None or not math.isfinite(one.loss) for one in look.estimates
    )
    for name, site in look.observed.items():
        if _is_factor(site) or _nan(site.value):
            continue
        try:
            with pyro.validation_enabled(False):
                inside: Tensor = site.fn.support.check(site.value)
        except Exception:
            continue
        bad = int((~inside).sum())
        if not bad:
            continue
        dist = type(base_of(site.fn)).__name__
        message = f'{bad} of {inside.numel()} values of "{name}" are outside the support of {dist}'
        value = site.value
        evidence = ""
        if value.shape == inside.shape:
            evidence = f"such as {float(value[~inside].reshape(-1)[0]):.4g}"
        level: Any = "error" if refused else "note"
        yield Found(_site(name), message, evidence=evidence, line=site.line, level=level)


def _mixed_types(look: Look) -> Iterator[Found]:
    error = look.main.error
    text = "" if error is None else str(error)
    if error is not None and "ouble" in text:
        message = f"float64 meets float32: {error_text(error)}"
        yield Found(Subject("data"), message, level="error")
    if error is not None:
        return
    drawn = {site.value.dtype for site in look.latents.values()}
    for name, site in look.observed.items():
        kinds = drawn | {torch.float32 if not drawn else torch.get_default_dtype()}
        if site.value.dtype is torch.float64 and torch.float64 not in kinds:
            message = f'the data of "{name}" are float64, and the latents float32'
            yield Found(_site(name), message, line=site.line)


SHAPES = "https://pyro.ai/examples/tensor_shapes.html"
SUBSAMPLE = "https://pyro.ai/examples/svi_part_ii.html"
TWO = """
def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))
"""

RULES: tuple[Rule, ...] = (
    Rule(
        code="SVI020",
        name="vector-outside-plate",
        level="error",
        message="a site draws several values at once and is in no plate",
        why="Pyro must know which dimensions are independent: it refuses the site, or, with "
        "validation off, scales and sums it wrongly.",
        remedy="put the site into a plate, or add .to_event(1) to its distribution",
        reference=SHAPES,
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0))
    pyro.sample("x", dist.Normal(z.sum(), 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    pyro.sample("x", dist.Normal(z.sum(), 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        check=_vector_outside_plate,
    ),
    Rule(
        code="SVI021",
        name="more-terms-than-data",
        level="error",
        message="an observed site has more terms than observations",
        why="Shapes such as (n,) and (n, 1) are broadcast to (n, n): each observation is compared "
        "with every prediction, and the likelihood counts n times.",
        remedy="give the data and the distribution the same shape, with squeeze(-1) or [:, None]",
        reference=SHAPES,
        fires="""
x, y = torch.linspace(0.0, 1.0, 5)[:, None], torch.zeros(5)


def model():
    w = pyro.sample("w", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(w * x, 1.0).to_event(2), obs=y)


guide = AutoNormal(model)
""",
        silent="""
x, y = torch.linspace(0.0, 1.0, 5)[:, None], torch.zeros(5)


def model():
    w = pyro.sample("w", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal((w * x).squeeze(-1), 1.0).to_event(1), obs=y)


guide = AutoNormal(model)
""",
        check=_too_many_terms,
    ),
    Rule(
        code="SVI022",
        name="minibatch-without-scale",
        level="warning",
        message="a minibatch is not scaled to all the data",
        why="A batch of 10 of 1,000 then counts for 10 observations against the whole prior: the "
        "posterior stays far too wide.",
        remedy="give the plate its full size: pyro.plate(name, size, subsample_size=len(batch))",
        reference=SUBSAMPLE,
        fires="""
data = torch.linspace(-1.0, 1.0, 100)


def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", len(x)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


guide = AutoNormal(model)


def batch(step):
    return (data[(step % 10) * 10 :][:10],)
""",
        silent="""
data = torch.linspace(-1.0, 1.0, 100)


def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 100, subsample_size=len(x)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


guide = AutoNormal(model)


def batch(step):
    return (data[(step % 10) * 10 :][:10],)
""",
        check=_forgotten_scale,
    ),
    Rule(
        code="SVI033",
        name="counted-again",
        level="warning",
        message="a plate scales data of which it takes no subsample",
        why="A plate of 600 with a subsample of 60 has each value count 10 times, for those that "
        "it did not draw. Where the model takes the same 60 whatever is drawn, there are no "
        "others, and the posterior becomes too narrow, here by a factor of about 3.",
        remedy="give the plate the number of the data, or index the data by what the plate draws",
        reference=SUBSAMPLE,
        fires="""
data = torch.linspace(-1.0, 1.0, 20)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 200, subsample_size=20):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)


guide = AutoNormal(model)
""",
        silent="""
data = torch.linspace(-1.0, 1.0, 200)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", 200, subsample_size=20) as index:
        pyro.sample("x", dist.Normal(z, 1.0), obs=data[index])


guide = AutoNormal(model)
""",
        check=_counted_again,
    ),
    Rule(
        code="SVI034",
        name="counted-many-times",
        level="note",
        message="data that are no minibatch are scaled up",
        why="A scale of 100 around the likelihood has each value count as 100 of them: the "
        "posterior becomes too narrow, there by a factor of 10. It is meant for a minibatch.",
        remedy="leave poutine.scale out where the model sees all data; a plate with subsample_size "
        "scales by itself",
        reference=SUBSAMPLE,
        fires="""
y = torch.linspace(-1.0, 1.0, 20)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 20), poutine.scale(scale=20.0):
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


guide = AutoNormal(model)
""",
        silent="""
y = torch.linspace(-1.0, 1.0, 200)


def model(batch):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 20), poutine.scale(scale=10.0):
        pyro.sample("y", dist.Normal(z, 1.0), obs=batch)


def batch(step):
    return (y[step % 10 :: 10],)


guide = AutoNormal(model)
""",
        check=_counted_many_times,
    ),
    Rule(
        code="SVI023",
        name="indices-differ",
        level="error",
        message="the guide chooses other elements of a plate than the model",
        why="Replay puts the guide's indices over the model's: the latents of some elements meet "
        "the data of others.",
        remedy="let the guide's plate take the same subsample; for an AutoGuide, create_plates",
        reference="https://docs.pyro.ai/en/stable/infer.autoguide.html",
        fires="""
data = torch.linspace(-1.0, 1.0, 20)


def model(index):
    with pyro.plate("n", 20, subsample=index):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=data[index])


guide = AutoNormal(model)


def batch(step):
    return (torch.arange(5) + 5 * (step % 4),)
""",
        silent="""
data = torch.linspace(-1.0, 1.0, 20)


def model(index):
    with pyro.plate("n", 20, subsample=index):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=data[index])


guide = AutoNormal(model, create_plates=lambda index: pyro.plate("n", 20, subsample=index))


def batch(step):
    return (torch.arange(5) + 5 * (step % 4),)
""",
        check=_indices_differ,
    ),
    Rule(
        code="SVI024",
        name="plate-size-differs",
        level="error",
        message="a plate has different sizes in model and guide",
        why="The scales of a subsample then differ between log p and log q, and elements of one "
        "have no counterpart in the other.",
        remedy="give both plates the same size and the same subsample",
        reference=SUBSAMPLE,
        fires="""
def model():
    with pyro.plate("n", 10, subsample_size=5):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.zeros(5))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    with pyro.plate("n", 5):
        pyro.sample("z", dist.Normal(loc, 1.0))
""",
        silent="""
def model():
    with pyro.plate("n", 10, subsample_size=5):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.zeros(5))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    with pyro.plate("n", 10, subsample_size=5):
        pyro.sample("z", dist.Normal(loc, 1.0))
""",
        check=_plates_differ,
    ),
    Rule(
        code="SVI025",
        name="plate-size-mismatch",
        level="error",
        message="a plate and a site in it have different sizes",
        why="Pyro refuses the site: each element of the plate needs one of the site's.",
        remedy="give the plate the number of rows of the data, or scale a part of them with "
        "subsample_size",
        reference=SHAPES,
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 10):
        pyro.sample("x", dist.Normal(z * torch.ones(7), 1.0), obs=torch.zeros(7))

"""
        + TWO,
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 7):
        pyro.sample("x", dist.Normal(z * torch.ones(7), 1.0), obs=torch.zeros(7))

"""
        + TWO,
        check=_plate_size,
    ),
    Rule(
        code="SVI026",
        name="batch-size-changes",
        level="error",
        message="a later batch has another size, which the guide does not fit",
        why="An automatic guide makes its local parameters for the plate of the first step; a "
        "shorter last batch then fails.",
        remedy="drop the last batch, give the plate its full size with a subsample, or amortise "
        "the guide",
        reference="https://docs.pyro.ai/en/stable/infer.autoguide.html",
        fires="""
data = torch.linspace(-1.0, 1.0, 10)


def model(x):
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


guide = AutoNormal(model)


def batch(step):
    return (data[:4] if step % 3 else data[:2],)
""",
        silent="""
data = torch.linspace(-1.0, 1.0, 10)


def model(x):
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def guide(x):
    w = pyro.param("w", torch.tensor(0.0))
    with pyro.plate("n", len(x)):
        pyro.sample("z", dist.Normal(w * x, 1.0))


def batch(step):
    return (data[:4] if step % 3 else data[:2],)
""",
        check=_batches_change,
    ),
    Rule(
        code="SVI027",
        name="data-not-finite",
        level="error",
        message="observed values are nan or infinite",
        why="Their log probability is nan or minus infinity, and so is the loss.",
        remedy="leave these values out of the data before they are observed",
        reference="https://docs.pyro.ai/en/stable/poutine.html",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 2):
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor([1.0, float("nan")]))

"""
        + TWO,
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 1):
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor([1.0]))

"""
        + TWO,
        check=_bad_data,
    ),
    Rule(
        code="SVI028",
        name="masked-nan",
        level="error",
        message="a mask hides nan from the loss and not from the gradient",
        why="Zero times nan is nan in the backward pass: the loss is finite, and the parameters "
        "become nan at the first step.",
        remedy="replace the masked values by any number before they are observed: "
        "torch.nan_to_num(data)",
        reference="https://github.com/pyro-ppl/pyro/issues/2473",
        fires="""
data = torch.tensor([1.0, float("nan")])


def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 2), poutine.mask(mask=~torch.isnan(data)):
        pyro.sample("x", dist.Normal(z, 1.0, validate_args=False), obs=data)

"""
        + TWO,
        silent="""
data = torch.tensor([1.0, float("nan")])


def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 2), poutine.mask(mask=~torch.isnan(data)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.nan_to_num(data))

"""
        + TWO,
        check=_masked_nan,
    ),
    Rule(
        code="SVI029",
        name="gradient-not-finite",
        level="error",
        message="a gradient is not finite, though the loss is",
        why="One update with it makes the parameter nan, for good.",
        remedy="look for a square root, norm, power or division at zero, or a torch.where over an "
        "invalid branch, on the way from the parameter to the loss",
        reference="https://pytorch.org/docs/stable/notes/autograd.html",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.zeros(2))
    pyro.sample("z", dist.Normal((loc * loc).sum().sqrt(), 1.0))
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.zeros(2))
    pyro.sample("z", dist.Normal(loc.sum(), 1.0))
""",
        check=_bad_gradient,
    ),
    Rule(
        code="SVI030",
        name="data-outside-support",
        level="error",
        message="observed values are outside the support of their distribution",
        why="Their log probability is minus infinity, an error, or a number that means nothing.",
        remedy="correct the data, or choose a distribution whose support has them",
        reference="https://docs.pyro.ai/en/stable/distributions.html",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 2):
        pyro.sample("x", dist.Poisson(z.exp()), obs=torch.tensor([1.0, -2.0]))

"""
        + TWO,
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 2):
        pyro.sample("x", dist.Poisson(z.exp()), obs=torch.tensor([1.0, 2.0]))

"""
        + TWO,
        check=_data_off_support,
    ),
    Rule(
        code="SVI031",
        name="factor-shape",
        level="error",
        message="a factor has another shape than its plates",
        why="A factor with more elements than its plates is refused or summed wrongly; one number "
        "inside a plate counts once for each element.",
        remedy="sum it, or put it where its shape belongs",
        reference="https://docs.pyro.ai/en/stable/primitives.html",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.factor("x", -((z - torch.linspace(0.0, 1.0, 5)) ** 2))

"""
        + TWO,
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.factor("x", -((z - torch.linspace(0.0, 1.0, 5)) ** 2).sum())

"""
        + TWO,
        check=_factor,
    ),
    Rule(
        code="SVI032",
        name="mixed-precision",
        level="note",
        message="float64 meets float32",
        why="Sums then mix precisions, and a product of the two raises an error.",
        remedy="convert the data: torch.tensor(data, dtype=torch.float32)",
        reference="https://pytorch.org/docs/stable/tensor_attributes.html",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 2):
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.zeros(2, dtype=torch.float64))

"""
        + TWO,
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 2):
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.zeros(2))

"""
        + TWO,
        check=_mixed_types,
    ),
)
