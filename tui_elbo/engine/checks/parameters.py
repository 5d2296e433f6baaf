"""Rules on parameters and what should be one: SVI040 to SVI049."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.distributions import constraints

from tui_elbo.engine.checks.look import Look, Pass, base_of, log_prob
from tui_elbo.engine.checks.rule import Found, Rule
from tui_elbo.engine.checks.sites import broken_arguments, draws_outside
from tui_elbo.engine.compat.pyro import store_constraints
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.model.findings import Subject

SECONDS = 0.7
"""For trying values of parameters."""

MOST_TRIED = 60
"""Parameters of which values are tried."""

SHARES = (0.003, 0.03, 0.3, 1.0)
"""Of its reach, by which a parameter is moved."""

MOST_REACH = 50.0
"""No parameter is moved further."""

MOST_NODES = 100_000
"""Of an autograd graph that are walked through."""


_REAL = type(constraints.real)


def _param(name: str) -> Subject:
    return Subject("param", name)


def _line(look: Look, name: str) -> int:
    lines = look.main.lines
    return lines.get(("guide", name), 0) or lines.get(("model", name), 0)


def _leaves() -> dict[str, Tensor]:
    return dict(pyro.get_param_store().named_parameters())


def learning_rate(optimizer: Any) -> float | None:
    """The learning rate that every parameter starts with; None where that is not known."""
    args = getattr(optimizer, "pt_optim_args", None)
    if isinstance(args, dict):
        args = args.get("optim_args", args)
        rate = args.get("lr") if isinstance(args, dict) else None
        if isinstance(rate, int | float):
            return float(rate)
    return None


def _reach(look: Look) -> float:
    """How far Adam may move a parameter within the run, about."""
    rate = learning_rate(look.optimizer)
    return min(MOST_REACH, (0.01 if rate is None else rate) * look.scenario.steps)


@contextmanager
def _moved(leaf: Tensor, by: float) -> Iterator[None]:
    kept = leaf.detach().clone()
    try:
        with torch.no_grad():
            leaf.add_(by)
        yield
    finally:
        with torch.no_grad():
            leaf.copy_(kept)


def _can_leave_support(look: Look) -> Iterator[Found]:
    if look.main.error is not None or look.by_messenger:
        return
    suspects = _suspects(look)
    began, told, reach = time.process_time(), set[str](), _reach(look)
    leaves = _leaves()
    for done, name in enumerate(suspects):
        if time.process_time() - began > SECONDS or done >= MOST_TRIED:
            look.explain(f"SVI040: {len(suspects) - done} parameters were not tried")
            return
        leaf = leaves[name]
        for by in (sign * share * reach for share in SHARES for sign in (-1, 1)):
            with _moved(leaf, by):
                broken = _broken(look, suspects[name])
                worst = float(leaf.min() if by < 0 else leaf.max())
            if broken is not None:
                place, value = broken
                key = f"{_group(name)} {place}"
                if key not in told:
                    told.add(key)
                    yield _leaves_support(look, name, place, worst, value)
                break


def _leaves_support(
    look: Look, name: str, place: tuple[str, str, str], at: float, value: float
) -> Found:
    side, site, arg = place
    message = f'nothing keeps "{name}" where the {arg} of "{site}" in the {side} is valid'
    evidence = f"at {at:.4g} the {arg} is {value:.4g}"
    hint = "give it a constraint: "
    hint += f'pyro.param("{name}", ..., constraint=constraints.{_constraint_for(arg)})'
    if "$$$" in name or "." in name:
        hint = f"pass the {arg} through softplus or exp (a probability through sigmoid or softmax)"
    return Found(_param(name), message, hint, evidence=evidence, line=_line(look, name))


def _constraint_for(arg: str) -> str:
    special = {
        "probs": "unit_interval",
        "scale_tril": "lower_cholesky",
        "covariance_matrix": "positive_definite",
        "precision_matrix": "positive_definite",
    }
    return special.get(arg, "positive")


def _group(name: str) -> str:
    """Weights of one module share what is before the last dot."""
    return name.partition("$$$")[0] if "$$$" in name else name.rpartition(".")[0] or name


def _suspects(look: Look) -> dict[str, set[tuple[str, str, str]]]:
    """Unconstrained parameters on the way to an argument with bounds: by name, its arguments."""
    free = {id(leaf): name for name, leaf in _leaves().items() if is_free(name) and leaf.is_leaf}
    found: dict[str, set[tuple[str, str, str]]] = {}
    for side in ("guide", "model"):
        for site in look.main.sites(side).values():
            for arg, value in _bounded_arguments(site.fn):
                for leaf in reached_leaves([value]):
                    if id(leaf) in free:
                        found.setdefault(free[id(leaf)], set()).add((side, site.name, arg))
    return found


def is_free(name: str) -> bool:
    """Whether a parameter of the store has no constraint."""
    constraint = store_constraints().get(name, constraints.real)
    while hasattr(constraint, "base_constraint"):
        constraint = constraint.base_constraint
    return type(constraint) is _REAL


def _bounded_arguments(fn: Any) -> Iterator[tuple[str, Tensor]]:
    base = base_of(fn)
    known = getattr(type(base), "arg_constraints", {})
    for arg, constraint in known.items() if isinstance(known, dict) else ():
        while hasattr(constraint, "base_constraint"):
            constraint = constraint.base_constraint  # noqa: PLW2901
        value = vars(base).get(arg)
        if type(constraint) is _REAL or not isinstance(value, Tensor):
            continue
        if value.requires_grad:
            yield arg, value
    for inner in ("base_dist", "_component_distribution", "_mixture_distribution"):
        part = getattr(base, inner, None)
        if part is not None and part is not base:
            yield from _bounded_arguments(part)


def reached_leaves(outputs: list[Tensor]) -> list[Tensor]:
    """The tensors that require a gradient and are no result of others, on the way to these."""
    found: dict[int, Tensor] = {id(o): o for o in outputs if o.requires_grad and o.is_leaf}
    left = [o.grad_fn for o in outputs if o.grad_fn is not None]
    seen: set[Any] = set()
    while left and len(seen) < MOST_NODES:
        node = left.pop()
        if node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            found[id(leaf)] = leaf
        left += [after for after, _ in node.next_functions if after is not None]
    return list(found.values())


def _broken(
    look: Look, targets: set[tuple[str, str, str]]
) -> tuple[tuple[str, str, str], float] | None:
    """An argument that is now beyond its bounds, with its value."""
    now = look.run(SEED)
    if draws_outside(now):
        return None  # it is the draw that is outside, whatever the argument
    for side in ("guide", "model"):
        for site in now.sites(side).values():
            for arg, value in broken_arguments(site.fn).items():
                if (side, site.name, arg) in targets:
                    return (side, site.name, arg), value
    return None


def _not_in_store(look: Look) -> Iterator[Found]:
    if look.main.error is not None or look.optimizer is None:
        return  # An optimiser that is not known may have been given the tensor itself.
    # A leaf of one's own may be made anew at each call: it is one thing by its place.
    known = {id(leaf) for leaf in _leaves().values()}
    outputs = _terms(look.main)
    modules: dict[int, tuple[nn.Module, int]] = {}
    loose: list[Tensor] = []
    owners = {
        id(weight): module
        for module in look.main.modules
        for weight in module.parameters(recurse=False)
    }
    for leaf in reached_leaves(outputs):
        if id(leaf) in known:
            continue
        owner = owners.get(id(leaf))
        if owner is None:
            loose.append(leaf)
        else:
            module, count = modules.get(id(owner), (owner, 0))
            modules[id(owner)] = module, count + leaf.numel()
    names = _names(look)
    told: dict[str, tuple[list[str], int]] = {}
    for module, count in modules.values():
        name = _module_name(module, names)
        kinds, total = told.get(name, ([], 0))
        told[name] = [*kinds, type(module).__name__], total + count
    for name, (kinds, count) in told.items():
        message = f'the {count} weights of module "{name}" are used and not in the param store'
        hint = f'call pyro.module("{name}", {name}) in the model or guide that uses it'
        evidence = ", ".join(dict.fromkeys(kinds))
        yield Found(Subject("module", name), message, hint, evidence=evidence)
    for leaf in loose:
        name = names.get(id(leaf), "")
        held = _holder(look, leaf)
        if held is not None and _is_of_pyro(held[1]):
            message = f'"{held[0]}" of {type(held[1]).__name__} is a constant: it requires a '
            message += "gradient and is not in the param store"
            yield Found(_param(held[0]), message, level="note")
            continue
        name = name or (held[0] if held is not None else "")
        shape = tuple(leaf.shape)
        what = f'tensor "{name}"' if name else f"a tensor of shape {shape}"
        message = f"{what} requires a gradient and is not in the param store"
        hint = f'read it with pyro.param("{name or "..."}", ...), or take requires_grad off'
        yield Found(_param(name), message, hint, evidence="it stays as it is at every step")


def _holder(look: Look, leaf: Tensor) -> tuple[str, nn.Module] | None:
    """The module of the file that holds a tensor and was not called, and what it is there."""
    for name, module in _scope(look):
        if not isinstance(module, nn.Module):
            continue
        for inner, weight in module.named_parameters():
            if weight is leaf:
                part = module.get_submodule(inner.rpartition(".")[0])
                return f"{name}.{inner}", part
    return None


def _is_of_pyro(module: nn.Module) -> bool:
    """Whether Pyro has made it what it is: a filter or a dynamic model, no layer."""
    return type(module).__module__.startswith("pyro.") and not isinstance(module, PyroModule)


def _terms(one: Pass) -> list[Tensor]:
    found = []
    for side in ("guide", "model"):
        for site in one.sites(side).values():
            try:
                term = log_prob(site)
            except Exception:
                continue
            found.append(term)
    return [term for term in found if isinstance(term, Tensor) and term.requires_grad]


def _names(look: Look) -> dict[int, str]:
    """What tensors and modules are called in the file and in what model and guide close over."""
    found: dict[int, str] = {}
    for name, value in _scope(look):
        found.setdefault(id(value), name)
        if isinstance(value, nn.Module):
            for part in value.modules():
                found.setdefault(id(part), name)
    return found


def _scope(look: Look) -> Iterator[tuple[str, Tensor | nn.Module]]:
    """The tensors and modules of the file and of what model and guide close over."""
    for side in (look.scenario.model, look.scenario.guide):
        inner: Any = poutine.unwrap(side)
        inner = getattr(inner, "func", inner)
        code = getattr(inner, "__code__", None)
        scopes = [getattr(inner, "__globals__", {})]
        if code is not None and getattr(inner, "__closure__", None):
            cells = zip(code.co_freevars, inner.__closure__, strict=True)
            scopes.append({name: _content(cell) for name, cell in cells})
        if isinstance(inner, nn.Module):
            scopes.append(dict(inner.named_children()))
        for scope in scopes:
            for name, value in list(scope.items()):
                if isinstance(value, Tensor | nn.Module):
                    yield name, value


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _module_name(module: nn.Module, names: dict[int, str]) -> str:
    if id(module) in names:
        return names[id(module)]
    return type(module).__name__


def _unread(look: Look) -> Iterator[Found]:
    if any(one.error is not None for one in look.passes):
        return
    read = set().union(*(one.params() for one in look.passes))
    read |= set().union(*(one.read for one in look.estimates))
    used = {id(leaf) for leaf in reached_leaves(_terms(look.main))}
    unread = [name for name in pyro.get_param_store() if name not in read]
    leaves = _leaves()
    for name in unread[:10]:
        if id(leaves[name]) in used and _is_of_called_module(look, name, leaves[name]):
            message = f'"{name}" is used and hidden from the optimiser, as by poutine.block: it '
            yield Found(_param(name), message + "stays as it is")
        elif id(leaves[name]) in used:
            message = f'"{name}" is used, and has no pyro.param statement in model or guide, so '
            message += "the optimiser is never given it"
            yield Found(_param(name), message, level="error")
        else:
            message = f'"{name}" is in the param store, and neither model nor guide reads it'
            yield Found(_param(name), message)


def _is_of_called_module(look: Look, name: str, leaf: Tensor) -> bool:
    """Whether a PyroModule or an AutoGuide that was called has it: they read it by themselves."""
    if "$$$" in name:
        return False
    return any(leaf is own for module in look.main.modules for own in module.parameters())


def _ignored_start(look: Look) -> Iterator[Found]:
    again = look.run(SEED + 77)
    told: set[str] = set()
    first: dict[str, Tensor] = {}
    for read in look.main.reads:
        others = [r.value for r in again.reads if (r.name, r.line) == (read.name, read.line)]
        if not others or any(not _close(read.value, other) for other in others):
            continue  # drawn anew each time: no fixed value is ignored
        stored = look.before.get(read.name)
        if stored is None:
            stored = first.setdefault(read.name, read.value)
            why = "an earlier statement set it"
        else:
            why = "the param store held it before the run"
        if read.name in told or _close(read.value, stored):
            continue
        told.add(read.name)
        message = f'"{read.name}" starts at {_few(stored)}, not at {_few(read.value)}: {why}'
        yield Found(_param(read.name), message, line=read.line)


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    if not one.is_floating_point():
        return bool(torch.equal(one, other))
    one, other = one.double(), other.double()
    return bool(torch.allclose(one, other, rtol=1e-3, atol=1e-5, equal_nan=True))


def _few(value: Tensor) -> str:
    numbers = ", ".join(f"{number:.4g}" for number in value.reshape(-1)[:3].tolist())
    more = ", …" if value.numel() > 3 else ""
    return numbers if value.dim() == 0 else f"[{numbers}{more}]"


def _no_gradient(look: Look) -> Iterator[Found]:
    sound = [one for one in look.estimates if one.error is None]
    if not sound or len(sound) < len(look.estimates):
        return
    read = set.intersection(*(one.read for one in sound))
    read &= look.main.params()
    absent = sorted(
        name
        for name in read
        if name in sound[0].gradients and all(one.gradients.get(name) is None for one in sound)
    )
    absent = [name for name in absent if _leaves()[name].requires_grad and _leaves()[name].numel()]
    networks: dict[str, list[str]] = {}
    for name in absent:
        if "$$$" in name:
            networks.setdefault(name.partition("$$$")[0], []).append(name)
    for module, names in networks.items():
        # A network that is kept as it is, as within torch.no_grad(), may be meant to be.
        message = f'no gradient reaches {len(names)} of the weights of module "{module}"'
        evidence = f"such as {names[0]}"
        yield Found(Subject("module", module), message, evidence=evidence, level="note")
    for name in [name for name in absent if "$$$" not in name][:10]:
        message = f'no gradient reaches "{name}": it stays where it starts'
        yield Found(_param(name), message, line=_line(look, name))


def _frozen(look: Look) -> Iterator[Found]:
    names = _names(look)
    told: dict[str, int] = {}
    for module in look.main.modules:
        frozen = sum(w.numel() for w in module.parameters(recurse=False) if not w.requires_grad)
        if frozen:
            name = _module_name(module, names)
            told[name] = max(told.get(name, 0), frozen)
    for name, count in told.items():
        message = f'{count} weights of module "{name}" have requires_grad False: they are not '
        yield Found(Subject("module", name), message + "fitted")


def _shared(look: Look) -> Iterator[Found]:
    sides: dict[str, set[str]] = {}
    for side, trace in (("model", look.main.model), ("guide", look.main.guide)):
        for name, node in trace.nodes.items():
            if node["type"] == "param":
                sides.setdefault(name, set()).add(side)
    for name, found in sides.items():
        # A module that both register as a whole is read by each in part.
        if len(found) > 1 and not look.by_messenger and "$$$" not in name:
            message = f'model and guide both read "{name}": it is one parameter'
            yield Found(_param(name), message, line=_line(look, name))


def _read_twice(look: Look) -> Iterator[Found]:
    """Two statements of the guide read one name, and each feeds a site of its own."""
    lines: dict[str, list[int]] = {}
    for read in look.main.reads:
        if read.side == "guide" and read.line and read.line not in lines.setdefault(read.name, []):
            lines[read.name].append(read.line)
    leaves = _leaves()
    fed: dict[str, list[str]] = {}
    for site in look.guide_sites.values():
        if site.observed or site.auxiliary:
            continue
        tensors = [value for value in vars(base_of(site.fn)).values() if isinstance(value, Tensor)]
        ids = {id(leaf) for leaf in reached_leaves(tensors)}
        for name in lines:
            if name in leaves and id(leaves[name]) in ids:
                fed.setdefault(name, []).append(site.name)
    for name, where in lines.items():
        sites = fed.get(name, [])
        if len(where) > 1 and len(sites) > 1:
            listed = " and ".join(f'"{site}"' for site in sites[:2])
            message = f'two statements of the guide read "{name}" (lines {where[0]} and '
            message += f"{where[1]}), so sites {listed} share one parameter"
            yield Found(_param(name), message, line=where[1])


PARAM = "https://docs.pyro.ai/en/stable/primitives.html"
MODULE = "https://pyro.ai/examples/modules.html"
MODEL = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))

"""

RULES: tuple[Rule, ...] = (
    Rule(
        code="SVI040",
        name="missing-constraint",
        level="warning",
        message="an unconstrained parameter can leave the support of an argument",
        why="The optimiser knows no bounds but the constraint: within this run it can step to a "
        "value at which the distribution is not valid, and the step then fails.",
        remedy="give the parameter a constraint, or pass it through softplus, exp or sigmoid",
        reference=PARAM,
        fires=MODEL
        + """
def guide():
    scale = pyro.param("scale", torch.tensor(0.5))
    pyro.sample("z", dist.Normal(0.0, scale))
""",
        silent=MODEL
        + """
def guide():
    scale = pyro.param("scale", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(0.0, scale))
""",
        check=_can_leave_support,
        slow=True,
    ),
    Rule(
        code="SVI041",
        name="not-in-store",
        level="warning",
        message="a tensor requires a gradient and is not in the param store",
        why="SVI optimises what pyro.param and pyro.module put into the param store, and nothing "
        "else: the tensor stays as it is.",
        remedy="read it with pyro.param, or its module with pyro.module",
        reference=MODULE,
        fires="""
net = torch.nn.Linear(1, 1)

"""
        + MODEL
        + """
def guide():
    pyro.sample("z", dist.Normal(net(torch.ones(1)).sum(), 1.0))
""",
        silent="""
net = torch.nn.Linear(1, 1)

"""
        + MODEL
        + """
def guide():
    pyro.module("net", net)
    pyro.sample("z", dist.Normal(net(torch.ones(1)).sum(), 1.0))
""",
        check=_not_in_store,
    ),
    Rule(
        code="SVI042",
        name="unread-parameter",
        level="note",
        message="a parameter of the store is read by neither model nor guide",
        why="The optimiser is given what has a pyro.param statement in the traces of the step: "
        "this one is not fitted, even where its tensor is used.",
        remedy="call pyro.param or pyro.module inside of the model or the guide; or clear the "
        "param store of what an earlier run has left",
        reference=PARAM,
        fires="""
loc = pyro.param("loc", torch.tensor(0.0))

"""
        + MODEL
        + """
def guide():
    pyro.sample("z", dist.Normal(loc, 1.0))
""",
        silent=MODEL
        + """
def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))
""",
        check=_unread,
    ),
    Rule(
        code="SVI043",
        name="initial-value-ignored",
        level="warning",
        message="the initial value of a parameter is ignored: the store has another",
        why="pyro.param returns what the store holds under the name; its initial value counts only "
        "the first time.",
        remedy="call pyro.clear_param_store() before the run, or give the parameter another name",
        reference="https://docs.pyro.ai/en/stable/parameters.html",
        fires="""
pyro.param("loc", torch.tensor(50.0))

"""
        + MODEL
        + """
def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))
""",
        silent=MODEL
        + """
def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))
""",
        check=_ignored_start,
    ),
    Rule(
        code="SVI044",
        name="no-gradient",
        level="error",
        message="no gradient reaches a parameter",
        why="The loss does not depend on it as far as autograd can see, as after float(), .item(), "
        ".detach() or torch.tensor(): it never moves.",
        remedy="use the tensor itself, without a copy, in a distribution of the guide or the model",
        reference="https://pytorch.org/docs/stable/notes/autograd.html",
        fires=MODEL
        + """
def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(torch.tensor(float(loc)), scale))
""",
        silent=MODEL
        + """
def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))
""",
        check=_no_gradient,
    ),
    Rule(
        code="SVI045",
        name="frozen-weights",
        level="note",
        message="weights of a module have requires_grad False",
        why="pyro.module leaves such weights out of the param store: they are not fitted.",
        remedy="nothing, if they are to stay as they are; else module.requires_grad_(True)",
        reference=MODULE,
        fires="""
net = torch.nn.Linear(1, 1).requires_grad_(False)

"""
        + MODEL
        + """
def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc + net(torch.ones(1)).sum(), 1.0))
""",
        silent="""
net = torch.nn.Linear(1, 1)

"""
        + MODEL
        + """
def guide():
    pyro.module("net", net)
    pyro.sample("z", dist.Normal(net(torch.ones(1)).sum(), 1.0))
""",
        check=_frozen,
    ),
    Rule(
        code="SVI046",
        name="shared-parameter",
        level="note",
        message="model and guide read the same parameter",
        why="Names are global to the param store: the parameter moves the prior and the guide at "
        "once, which is seldom meant.",
        remedy="give the guide's and the model's parameters different names",
        reference=PARAM,
        fires="""
def model():
    loc = pyro.param("loc", torch.tensor(0.0))
    z = pyro.sample("z", dist.Normal(loc, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))
""",
        silent=MODEL
        + """
def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))
""",
        check=_shared,
    ),
    Rule(
        code="SVI047",
        name="read-twice",
        level="warning",
        message="two sites of the guide share a parameter that two statements read",
        why="A parameter is known by its name: the second statement gets the first one's, and both "
        "sites get the same posterior where they use it alike.",
        remedy="give each its own name; if they are to share it, read it once into a variable",
        reference=PARAM,
        fires="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(a + 2.0 * b, 1.0), obs=torch.tensor(1.0))


def guide():
    a_loc = pyro.param("loc", torch.tensor(0.0))
    b_loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("a", dist.Normal(a_loc, 0.5))
    pyro.sample("b", dist.Normal(b_loc, 0.5))
""",
        silent="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(a + 2.0 * b, 1.0), obs=torch.tensor(1.0))


def guide():
    a_loc = pyro.param("a_loc", torch.tensor(0.0))
    b_loc = pyro.param("b_loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("a", dist.Normal(a_loc, scale))
    pyro.sample("b", dist.Normal(b_loc, scale))
""",
        check=_read_twice,
    ),
)
