"""Rules on what breaks a running run: a number that is not finite, a step that raises; SVI100 on.

Each names where it began: not the site at which it came to light, but the parameter or the draw
that made it so, and why that was possible.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from tui_elbo.engine.checks.evidence import Evidence
from tui_elbo.engine.checks.origin import Origin
from tui_elbo.engine.checks.rule import Found, Rule
from tui_elbo.engine.checks.running import Failure, Running
from tui_elbo.model.findings import Subject
from tui_elbo.model.records import Layout, SiteInfo

LONG_UPDATE = 20.0
"""An update of an unconstrained value by so much multiplies a positive one by 5e8."""


_Q_OR_P = {"guide": "q", "model": "p"}

_CONSTRAIN = (
    "give it the constraint of what it is used for, such as constraint=constraints.positive"
)


def _non_finite_gradient(run: Running) -> Iterator[Found]:
    """The loss is finite, and its gradient is not."""
    step, names = _first_bad(run.evidence, "grad_norm")
    if not names or _terms_bad(run.evidence):
        return
    message = f"the gradient of {_listed(names)} is nan at step {step}, while the loss is finite"
    origin = run.origin
    if origin is not None and origin.what == "gradient" and names[0] in origin.params:
        message += f': it is so in log {_Q_OR_P[origin.side]} of "{origin.site}"'
    evidence = f"{len(names)} parameters" if len(names) > 1 else ""
    yield Found(Subject("param", names[0]), message, "", evidence, since=step)


def _overflow(run: Running) -> Iterator[Found]:
    """An update threw a parameter out of what a number can hold."""
    step, names = _first_bad(run.evidence, "value[")
    if run.evidence.first_bad is None and run.failure is not None:
        step, names = run.failure.step - 1, _underflowed(run.evidence)
    if not names or _first_bad(run.evidence, "grad_norm")[1] or _terms_bad(run.evidence):
        return
    track = run.evidence.tracks[names[0]]
    message = f"{_listed(names)} overflowed at step {step}"
    if math.isfinite(track.largest_update):
        message += f": an update moved it by {track.largest_update:.3g}, unconstrained"
    evidence = f"largest gradient {track.largest_gradient:.3g}"
    yield Found(Subject("param", names[0]), message, "", evidence, since=step)


def _non_finite_term(run: Running) -> Iterator[Found]:
    """A term is not finite although every parameter was."""
    if run.evidence.first_bad is None or not _terms_bad(run.evidence):
        return
    step, columns = run.evidence.first_bad
    if run.origin is not None and run.origin.what in {"argument", "value"}:
        yield _from(run.origin)
        return
    order = {"log_q": 0, "log_p": 1}
    sites = [column for column in columns if column.kind == "site"]
    first = min(sites, key=lambda column: order[column.field], default=None)
    if first is None:
        yield Found(Subject("run"), f"the loss is not finite at step {step}", since=step)
        return
    words = {"log_q": "log q", "log_p": "log p"}[first.field]
    message = f'{words} of "{first.name}" is not finite at step {step}, at parameters that are'
    yield Found(Subject("site", first.name), message, since=step)


def _from(origin: Origin) -> Found:
    """What made a term not finite."""
    site, step, number = origin.site, origin.step, f"{origin.number:.3g}"
    log, term = f"log {_Q_OR_P[origin.side]}", f"{origin.term:.3g}"
    so = f'so {log} of "{site}" is {term} at step {step}'
    if origin.held:
        became = f"became {number} at step {step - 1}" if step > 1 else f"starts at {number}"
        message = f'"{origin.held}" has no constraint and {became}, {so}'
        return Found(Subject("param", origin.held), message, _CONSTRAIN, since=max(step - 1, 1))
    if origin.what == "argument":
        by = _computed(origin)
        message = f'the {origin.argument} of "{site}" is {number} at step {step}{by}, {so}'
    elif math.isnan(origin.number):
        message = f'{log} of "{site}" is {term} at step {step}, at arguments that are valid'
    else:
        who = "its data hold" if origin.observed else "the guide draws"
        message = f'{log} of "{site}" is {term} at step {step}, where {who} {origin.number:.6g}'
    return Found(Subject("site", site), message, since=step, line=origin.line)


def _computed(origin: Origin) -> str:
    sources = [*origin.latents, *origin.params]
    return f", computed from {_listed(sources)}" if sources else ""


def _left_support(run: Running) -> Iterator[Found]:
    """A parameter without a constraint went where a distribution's argument is invalid."""
    refused = _refused(run)
    if refused is None or refused.param is None:
        return
    failure, name = refused.failure, refused.param
    message = (
        f'"{name}" has no constraint and became {refused.value:.3g} at step {failure.step - 1}, so '
        f"{refused.what} is invalid at step {failure.step}"
    )
    hint = ""
    if refused.constraint.startswith("Greater"):
        hint = f'pyro.param("{name}", ..., constraint=constraints.positive)'
    evidence = f"{refused.value:.4g} does not satisfy {refused.constraint}"
    subject, since = Subject("param", name), failure.step - 1
    yield Found(subject, message, hint, evidence, since=since, line=failure.line)


def _draw_off_support(run: Running) -> Iterator[Found]:
    """The guide drew a value that the model cannot use."""
    refused = _refused(run)
    if refused is None or refused.param is not None or not refused.latent:
        return
    step = refused.failure.step
    message = (
        f'the guide drew a "{refused.latent}" at step {step} for which {refused.what} is invalid'
    )
    evidence = f"{refused.shown} does not satisfy {refused.constraint}"
    subject = Subject("site", refused.latent)
    yield Found(subject, message, "", evidence, since=step, line=refused.failure.line)


def _invalid_argument(run: Running) -> Iterator[Found]:
    """An argument that is computed from parameters became invalid."""
    refused = _refused(run)
    if refused is None or refused.param is not None or refused.latent or not refused.site:
        return
    if not refused.argument or refused.constraint.startswith("PositiveDefinite"):
        return
    step = refused.failure.step
    became = "became" if step > 1 else "is"
    message = f"{refused.what} {became} {refused.shown} at step {step}"
    message += refused.computed
    evidence = f"it does not satisfy {refused.constraint}"
    subject = Subject("site", refused.site)
    yield Found(subject, message, "", evidence, since=step, line=refused.failure.line)


def _two_devices(run: Running) -> Iterator[Found]:
    """A step met tensors of two devices."""
    failure = run.failure
    match = None if failure is None else _DEVICES.search(failure.text)
    if failure is None or match is None:
        return
    one, two = sorted(part for part in match.groups() if part)
    message = f"tensors on {one} and on {two} meet at step {failure.step}"
    site = _site_of(failure.text)
    subject = Subject("site", site) if site else Subject("data")
    evidence = " ".join(match[0].split())
    yield Found(subject, message, "", evidence, since=failure.step, line=failure.line)


def _not_positive_definite(run: Running) -> Iterator[Found]:
    """A matrix could not be factorised."""
    failure = run.failure
    match = None if failure is None else _CHOLESKY.search(failure.text)
    if failure is None or match is None or run.evidence.first_bad is not None:
        return
    site = _site_of(failure.text)
    what = f'the {match["arg"]} of "{site}"' if match["arg"] and site else "a matrix"
    message = f"{what} is not positive definite at step {failure.step}, as far as its precision "
    message += "goes"
    subject = Subject("site", site) if site else Subject("run")
    evidence = "" if match["arg"] else " ".join(match[0].split())
    yield Found(subject, message, "", evidence, since=failure.step, line=failure.line)


def _sites_vary(run: Running) -> Iterator[Found]:
    """A site is in some steps and not in others."""
    if "sites-change" in run.faults or not run.evidence.varying:
        return
    (name, (step, came)), *more = run.evidence.varying.items()
    when = "is there and was not before" if came else "is not there and was before"
    message = f'at step {step} site "{name}" {when}'
    message += f", and {len(more)} more come and go" if more else ""
    yield Found(Subject("site", name), message, since=step)


def _size_changes(run: Running) -> Iterator[Found]:
    """The step got data of another size than the steps before."""
    failure = run.failure
    if failure is None or run.evidence.last == 0:
        return
    match = next((m for pattern in _SIZES if (m := pattern.search(failure.text))), None)
    if match is None:
        return
    one, two = ({int(n) for n in re.findall(r"\d+", part)} for part in (match["a"], match["b"]))
    for site in run.sites:
        first, shape = run.evidence.shapes.get(site.name, (0, ()))
        before = [n for n in shape if n > 1 and n in one | two]
        new = sorted((one ^ two) - {*before, 1})
        if site.observed or not before or not site.plates or not new:
            continue
        message = (
            f'"{site.name}" in plate "{site.plates[-1]}" has {before[0]} rows since step {first}, '
            f"and step {failure.step} has data of {new[0]}: the guide's parameters keep the first "
            "size"
        )
        evidence = " ".join(match[0].split())
        yield Found(Subject("site", site.name), message, "", evidence, since=failure.step)
        return


# What the rules above have in common.


def _underflowed(evidence: Evidence) -> list[str]:
    """Constrained parameters of which an element is 0 after an update too long for that."""
    infos = evidence.layout.params if evidence.layout else ()
    bound = {info.name for info in infos if info.constraint != "real"}
    names = [
        column.name
        for column, number in evidence.newest.items()
        if number == 0.0 and column.name in bound and column.field.startswith("value[")
    ]
    far = (name for name in names if evidence.tracks[name].largest_update > LONG_UPDATE)
    return list(dict.fromkeys(far))


def _first_bad(evidence: Evidence, field: str) -> tuple[int, list[str]]:
    """The first step with numbers that are not finite, and the parameters with such a field."""
    step, columns = evidence.first_bad or (0, ())
    names = [c.name for c in columns if c.kind in ("param", "module") and c.field.startswith(field)]
    return step, list(dict.fromkeys(names))


def _terms_bad(evidence: Evidence) -> bool:
    _, columns = evidence.first_bad or (0, ())
    return any(column.kind in ("step", "site") for column in columns)


class _Refused:
    """An argument, or a value, that a distribution has refused in the step that raised.

    Args:
        run: the run.
        failure: its failure.
        match: of the error's message.
    """

    def __init__(self, run: Running, failure: Failure, match: re.Match[str]) -> None:
        groups = match.groupdict()
        self.failure = failure
        self.constraint = " ".join(groups["constraint"].split())
        shown = [float(number) for number in _NUMBER.findall(groups["values"])]
        bad = [number for number in shown if _violates(number, self.constraint)]
        self.site = _site_of(failure.text)
        where = f'{groups["dist"]} of site "{self.site}"' if self.site else f"a {groups['dist']}"
        self.argument: str = groups.get("arg", "")
        """Its name; empty of a value: of a draw, or of the data."""
        self.what = f"the {groups['arg'] if self.argument else 'value'} of {where}"
        self.param, self.value = _param_with(run.evidence, bad)
        self.shown = f"{bad[0]:.3g}" if bad else "invalid"
        finite = bool(bad) and math.isfinite(bad[0])
        self.latent = _latent_drawn(run.evidence, failure.text) if finite else ""
        self.computed = ""
        """What it is computed from, in words."""
        origin = run.origin
        if origin is not None and (origin.site, origin.argument) == (self.site, self.argument):
            self.computed = _computed(origin)
            if origin.held:
                self.param, self.value = origin.held, origin.number
            if finite:
                self.latent = "" if origin.params else next(iter(origin.latents), "")


def _violates(number: float, constraint: str) -> bool:
    """Whether a number is what breaks a constraint; True where the words do not say it."""
    if not math.isfinite(number):
        return True
    lower, upper = _LOWER.search(constraint), _UPPER.search(constraint)
    if constraint.startswith("Real") or not (lower or upper):
        return not constraint.startswith("Real")
    strict = "GreaterThan(" in constraint or "LessThan(" in constraint
    below = lower is not None and number < float(lower[1])
    above = upper is not None and number > float(upper[1])
    edges = [float(bound[1]) for bound in (lower, upper) if bound is not None]
    return below or above or (strict and number in edges)


def _refused(run: Running) -> _Refused | None:
    """What was refused; None if the step raised something else, or what came before says more."""
    if run.failure is None or run.evidence.first_bad is not None:
        return None
    match = _ARGUMENT.search(run.failure.text) or _VALUE.search(run.failure.text)
    return None if match is None else _Refused(run, run.failure, match)


_END = (
    r"found invalid values:\s*(?P<values>.*?)"
    r"(?:\n *Trace Shapes|\n\nThe above|\nTraceback|\nstep \d|\Z)"
)

_ARGUMENT = re.compile(
    r"Expected parameter (?P<arg>\w+) \(\w+ of shape.*?\) of distribution (?P<dist>\w+)\(.*?"
    r"to satisfy the constraint (?P<constraint>\w+(?:\(.*?\))?).*?" + _END,
    re.DOTALL,
)
_VALUE = re.compile(
    r"to be within the support \((?P<constraint>[^\n]*?)\)\s+of the distribution (?P<dist>\w+)\(.*?"
    + _END,
    re.DOTALL,
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\bnan\b|\binf\b)", re.IGNORECASE)
_LOWER = re.compile(r"lower_bound=(-?[\d.]+(?:e[-+]?\d+)?)")
_UPPER = re.compile(r"upper_bound=(-?[\d.]+(?:e[-+]?\d+)?)")
_STATEMENT = re.compile(r"""pyro\.(?:sample|factor)\(\s*f?["'](?P<site>[^"']+)["']""")
_AT_SITE = re.compile(r"at site '(?P<site>[^']+)'")

_DEVICES = re.compile(
    r"found at least two devices, (\w+(?::\d+)?) and (\w+(?::\d+)?)"
    r"|Tensor on device (\w+(?::\d+)?) is not on the expected device (\w+(?::\d+)?)"
)

_CHOLESKY = re.compile(
    r"Expected parameter (?P<arg>\w+) \(\w+ of shape[^\n]*?\) of distribution \w+\(.{0,20000}?"
    r"to satisfy the constraint PositiveDefinite"
    r"|factorization could not be completed because the input is not positive-definite"
    r"|leading minor of order \d+ is not positive(?:-definite)?",
    re.DOTALL,
)

_SIZES = (
    re.compile(r"torch\.Size\(\[(?P<a>[\d, ]*)\]\) vs torch\.Size\(\[(?P<b>[\d, ]*)\]\)"),
    re.compile(r"tensor a \((?P<a>\d+)\) must match the size of tensor b \((?P<b>\d+)\)"),
    re.compile(r"shapes? [^\n]*?\[(?P<a>[\d, ]+)\][^\n]*?\[(?P<b>[\d, ]+)\]"),
    re.compile(r"broadcast[^\n]*?\((?P<a>[\d, ]+)\)[^\n]*?\((?P<b>[\d, ]+)\)"),
    re.compile(r"size (?P<a>\d+)[^\n]*? size (?P<b>\d+)"),
    re.compile(
        r"expected[^\n]*?(?P<a>\d+)[^\n]*?(?:actual|got|vs)[^\n]*?(?P<b>\d+)", re.IGNORECASE
    ),
)


def _site_of(text: str) -> str:
    """The site of the innermost `pyro.sample` statement of the traceback; empty if none is."""
    named = _AT_SITE.search(text)
    if named:
        return named["site"]
    statements = list(_STATEMENT.finditer(text))
    return statements[-1]["site"] if statements else ""


def _param_with(evidence: Evidence, bad: Sequence[float]) -> tuple[str | None, float]:
    """The parameter without a constraint that holds one of these numbers, and the number."""
    layout: Layout | None = evidence.layout
    for info in layout.params if layout else ():
        for value in bad if info.constraint == "real" else ():
            if math.isfinite(value) and _holds(evidence, info.name, value):
                return info.name, value
    return None, math.nan


def _holds(evidence: Evidence, name: str, value: float) -> bool:
    """Whether an element of the parameter is this number, as far as it is printed."""
    return any(
        column.kind == "param"
        and column.name == name
        and column.field.startswith("value[")
        and math.isclose(number, value, rel_tol=1e-3, abs_tol=5e-5 if abs(value) > 1e-3 else 0.0)
        for column, number in evidence.newest.items()
    )


def _latent_drawn(evidence: Evidence, text: str) -> str:
    """The latent whose value is at fault: named in the error, or read in the line that raised."""
    sites: tuple[SiteInfo, ...] = evidence.layout.sites if evidence.layout else ()
    latents = [site.name for site in sites if not site.observed]
    at = _AT_SITE.search(text)
    if at and at["site"] in latents:
        return at["site"]
    for line in reversed(text.splitlines()):
        if "File " in line or "pyro.sample(" not in line:
            continue
        rest = _STATEMENT.sub("", line, count=1).partition("obs=")[0]
        named = [name for name in latents if re.search(rf"\b{re.escape(name)}\b", rest)]
        if named:
            return named[0]
    return ""


def _listed(names: Sequence[str]) -> str:
    quoted = [f'"{name}"' for name in names[:2]]
    return " and ".join(quoted) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


_DATA = "https://pytorch.org/docs/stable/distributions.html"

RULES: tuple[Rule, ...] = (
    Rule(
        code="SVI100",
        name="two-devices",
        level="error",
        message="tensors of two devices meet",
        why="The step cannot be taken.",
        remedy="move data, constants and modules to one device: .to(device) on the data of every "
        "batch, device=... where model and guide make tensors",
        reference="https://pytorch.org/docs/stable/notes/cuda.html",
        fires="""
y = torch.zeros(3, device="meta")


def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.factor("fit", -(torch.ones(3) * z - y).square().sum())


guide = AutoNormal(model)
""",
        silent="""
y = torch.zeros(3)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.factor("fit", -(torch.ones(3) * z - y).square().sum())


guide = AutoNormal(model)
""",
        check=_two_devices,
        when="running",
        steps=2,
    ),
    Rule(
        code="SVI101",
        name="non-finite-gradient",
        level="error",
        message="a gradient is not finite while the loss is",
        why="The next update makes the parameter nan, and everything that reads it.",
        remedy="look in the model for 0 * inf or 0 / 0: a torch.where or a mask over a value that "
        "is not finite hides it from the loss, not from the gradient",
        reference="https://pytorch.org/docs/stable/notes/autograd.html",
        fires="""
reading = torch.tensor([1.2, float("nan"), 0.9])
seen = ~torch.isnan(reading)


def model():
    level = pyro.sample("level", dist.Normal(0.0, 3.0))
    with pyro.plate("t", 3), poutine.mask(mask=seen):
        pyro.sample("reading", dist.Normal(level, 0.5, validate_args=False), obs=reading)


guide = AutoNormal(model)
""",
        silent="""
reading = torch.tensor([1.2, float("nan"), 0.9])
seen = ~torch.isnan(reading)


def model():
    level = pyro.sample("level", dist.Normal(0.0, 3.0))
    with pyro.plate("t", 3), poutine.mask(mask=seen):
        pyro.sample("reading", dist.Normal(level, 0.5), obs=torch.where(seen, reading, 0.0))


guide = AutoNormal(model)
""",
        check=_non_finite_gradient,
        when="running",
        steps=2,
    ),
    Rule(
        code="SVI102",
        name="step-overflows",
        level="error",
        message="an update threw a parameter out of what a number can hold",
        why="A constraint such as positive is exp of the value that the optimiser moves: it "
        "overflows, or becomes 0, when one step is very long.",
        remedy="lower the learning rate, or clip the gradient (pyro.optim.ClippedAdam); plain SGD "
        "needs a rate that fits the size of the gradient",
        reference="https://docs.pyro.ai/en/stable/optimization.html",
        fires="""
y = 30.0 * torch.randn(40)


def model():
    tau = pyro.sample("tau", dist.HalfCauchy(1.0))
    with pyro.plate("n", 40):
        pyro.sample("y", dist.Normal(0.0, tau), obs=y)


def guide():
    width = pyro.param("width", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("tau", dist.Delta(width))


optimizer = pyro.optim.SGD({"lr": 0.05})
""",
        silent="""
y = 30.0 * torch.randn(40)


def model():
    tau = pyro.sample("tau", dist.HalfCauchy(1.0))
    with pyro.plate("n", 40):
        pyro.sample("y", dist.Normal(0.0, tau), obs=y)


def guide():
    width = pyro.param("width", torch.tensor(30.0), constraint=constraints.positive)
    pyro.sample("tau", dist.Delta(width))


optimizer = pyro.optim.Adam({"lr": 0.05})
""",
        check=_overflow,
        when="running",
        steps=5,
    ),
    Rule(
        code="SVI103",
        name="non-finite-term",
        level="error",
        message="log p or log q of a site is not finite",
        why="The loss has no gradient there, and the parameters become nan.",
        remedy="look at what the guide draws there: a value outside the support, or so far out "
        "that its density is 0",
        reference=_DATA,
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.factor("f", torch.log(z - z.detach()))


guide = AutoNormal(model)
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.factor("f", torch.log(z**2 + 1.0))


guide = AutoNormal(model)
""",
        check=_non_finite_term,
        when="running",
        steps=2,
    ),
    Rule(
        code="SVI104",
        name="left-its-support",
        level="error",
        message="a parameter without a constraint became invalid for the argument it feeds",
        why="An optimiser moves a plain parameter anywhere, also to where a scale is negative.",
        remedy="give the parameter the constraint of what it is used for",
        reference="https://docs.pyro.ai/en/stable/primitives.html#pyro.primitives.param",
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 0.01))


def guide():
    spread = pyro.param("spread", torch.tensor(0.3))
    pyro.sample("z", dist.Normal(0.0, spread))


optimizer = pyro.optim.Adam({"lr": 0.2})
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 0.01))


def guide():
    spread = pyro.param("spread", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(0.0, spread))


optimizer = pyro.optim.Adam({"lr": 0.2})
""",
        check=_left_support,
        when="running",
        steps=20,
    ),
    Rule(
        code="SVI105",
        name="draw-off-support",
        level="error",
        message="the guide drew a value that the model cannot use",
        why="Sooner or later such a draw comes, and the run ends there.",
        remedy="draw the site in the guide from a distribution on the support that it has in the "
        "model: LogNormal or Gamma for what is positive, Beta for what is in (0, 1)",
        reference="https://pyro.ai/examples/svi_part_i.html",
        fires="""
def model():
    spread = pyro.sample("spread", dist.HalfNormal(1.0))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.Normal(0.0, spread), obs=torch.tensor([0.3, 0.4, -0.5]))


def guide():
    m = pyro.param("m", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("spread", dist.Normal(m, 1.0))
""",
        silent="""
def model():
    spread = pyro.sample("spread", dist.HalfNormal(1.0))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.Normal(0.0, spread), obs=torch.tensor([0.3, 0.4, -0.5]))


def guide():
    m = pyro.param("m", torch.tensor(0.1))
    pyro.sample("spread", dist.LogNormal(m, 1.0))
""",
        check=_draw_off_support,
        when="running",
        steps=20,
    ),
    Rule(
        code="SVI106",
        name="argument-became-invalid",
        level="error",
        message="a distribution's argument became invalid",
        why="It is computed from parameters that went where it is not defined.",
        remedy="pass it through exp or softplus, or constrain its parameters; a lower learning "
        "rate only puts it off",
        reference=_DATA,
        fires="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 0.01))


def guide():
    a = pyro.param("a", torch.tensor(0.7))
    pyro.sample("z", dist.Normal(0.0, a - 0.5))


optimizer = pyro.optim.Adam({"lr": 0.2})
""",
        silent="""
def model():
    z = pyro.sample("z", dist.Normal(0.0, 0.01))


def guide():
    a = pyro.param("a", torch.tensor(0.7))
    pyro.sample("z", dist.Normal(0.0, torch.exp(a - 0.5)))


optimizer = pyro.optim.Adam({"lr": 0.2})
""",
        check=_invalid_argument,
        when="running",
        steps=20,
    ),
    Rule(
        code="SVI107",
        name="size-changes",
        level="error",
        message="a batch has another size than the guide's parameters",
        why="An AutoGuide makes the parameters of local latents for the first batch that it sees.",
        remedy="give each batch the same size (drop the last, shorter one), or draw local latents "
        "by a network of the data, or name the whole plate and pass subsample=indices",
        reference="https://pyro.ai/examples/svi_part_ii.html",
        fires="""
data = torch.randn(50)


def model(y):
    with pyro.plate("rows", len(y)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(z, 0.5), obs=y)


guide = AutoNormal(model)


def batch(step):
    i = (step - 1) % 4
    return (data[16 * i : 16 * i + 16],)
""",
        silent="""
data = torch.randn(64)


def model(y):
    with pyro.plate("rows", len(y)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(z, 0.5), obs=y)


guide = AutoNormal(model)


def batch(step):
    i = (step - 1) % 4
    return (data[16 * i : 16 * i + 16],)
""",
        check=_size_changes,
        when="running",
        steps=5,
    ),
    Rule(
        code="SVI108",
        name="sites-vary",
        level="note",
        message="a site is in some steps and not in others",
        why="A parameter that only such a site reads is fitted at those steps alone; the ELBO of "
        "two steps is not the same quantity, and its curve jumps.",
        remedy="if it is not meant so, draw it at every step; poutine.mask leaves its term out",
        reference="https://pyro.ai/examples/tensor_shapes.html",
        fires="""
def batch(step):
    return (step,)


def model(step):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z, 1.0), obs=torch.tensor(3.0))
    if step > 3:
        pyro.sample("late", dist.Normal(z, 1.0), obs=torch.tensor(2.0))


def guide(step):
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 0.5))
""",
        silent="""
def batch(step):
    return (step,)


def model(step):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z, 1.0), obs=torch.tensor(3.0))
    with poutine.mask(mask=torch.tensor(step > 3)):
        pyro.sample("late", dist.Normal(z, 1.0), obs=torch.tensor(2.0))


def guide(step):
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 0.5))
""",
        check=_sites_vary,
        when="running",
        steps=6,
    ),
    Rule(
        code="SVI109",
        name="not-positive-definite",
        level="error",
        message="a matrix that is to be factorised is not positive definite",
        why="The step cannot be taken.",
        remedy="add a small number to its diagonal (jitter=1e-6 of pyro.contrib.gp), use float64, "
        "or parametrise the covariance by its factor (scale_tril)",
        reference="https://pytorch.org/docs/stable/generated/torch.linalg.cholesky.html",
        fires="""
x = torch.linspace(0.0, 1.0, 40)
square = (x[:, None] - x[None, :]) ** 2


def model():
    length = pyro.param("length", torch.tensor(0.01), constraint=constraints.positive)
    kernel = torch.exp(-0.5 * square / length**2)
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(40), kernel), obs=torch.ones(40))


def guide():
    pass


optimizer = pyro.optim.Adam({"lr": 1.0})
""",
        silent="""
x = torch.linspace(0.0, 1.0, 40)
square = (x[:, None] - x[None, :]) ** 2


def model():
    length = pyro.param("length", torch.tensor(0.01), constraint=constraints.positive)
    kernel = torch.exp(-0.5 * square / length**2) + 0.01 * torch.eye(40)
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(40), kernel), obs=torch.ones(40))


def guide():
    pass


optimizer = pyro.optim.Adam({"lr": 1.0})
""",
        check=_not_positive_definite,
        when="running",
        steps=20,
    ),
)
