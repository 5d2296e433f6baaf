"""One step with all that happened in it: each site, the loss, gradients, updates, and their lines.

The step is the one that would have been taken anyway. What is reported is read off the traces that
the estimator builds, and off the optimiser's call; no number is drawn, nothing is evaluated for it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyro
import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.replay_messenger import ReplayMessenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from tui_elbo.engine.compat.pyro import (
    enumerate_dim,
    handler_stack,
    is_deterministic,
    own_trace_builder,
    set_trace_builder,
    trace_builder,
)
from tui_elbo.engine.record.numbers import real
from tui_elbo.engine.stepper import Stepper
from tui_elbo.engine.tracebacks import shown
from tui_elbo.protocol import Stage

FEW = 6
"""So many elements of a tensor are shown one by one."""

MOST = 500
"""So many stages of a step are reported."""

AROUND = 3
"""Lines of code shown before and after the one that a stage is on."""

_WRAPPERS = {"Independent", "ExpandedDistribution", "MaskedDistribution"}


class Recorder:
    """Records one step of a stepper.

    Args:
        stepper: whose next step it is.
        path: the scenario's file.
        text: what was executed.
    """

    def __init__(self, stepper: Stepper, path: Path, text: bytes) -> None:
        self._stepper = stepper
        self._code = _Code(path, text)
        self._traces: list[tuple[Any, Any]] = []
        self._before: dict[str, tuple[Tensor, Tensor | None]] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """While the step is taken."""
        estimator, svi = self._stepper.estimator, self._stepper.svi
        own, update = own_trace_builder(estimator), svi.optim
        inner = trace_builder(estimator)

        def traced(*args: Any) -> Any:
            assert inner is not None
            traces = inner(*args)
            self._traces.append(traces)
            return traces

        def updated(params: Any, *args: Any, **kwargs: Any) -> None:
            self._before = {
                name: (leaf.detach().clone(), None if leaf.grad is None else leaf.grad.clone())
                for name, leaf in pyro.get_param_store().named_parameters()
            }
            update(params, *args, **kwargs)

        if inner is not None:
            set_trace_builder(estimator, traced)
        svi.optim = updated
        try:
            with _Lines(self._code):
                yield
        finally:
            svi.optim = update
            set_trace_builder(estimator, own)

    def stages(self) -> list[Stage]:
        """What happened, in its order; the step has been taken."""
        found: list[Stage] = []
        for number, (model, guide) in enumerate(self._traces, 1):
            which = f" (particle {number})" if len(self._traces) > 1 else ""
            found += self._sites("guide", guide, {}, which)
            found += self._sites("model", model, guide.nodes, which)
        found.append(self._stage("loss", "loss", [f"loss {self._stepper.loss:.6g} nats"], "loss"))
        found += self._gradients()
        found += self._updates()
        self._traces.clear()
        return found[:MOST]

    def _sites(self, side: str, trace: Any, guide: Any, which: str) -> list[Stage]:
        found = []
        for name, node in trace.nodes.items():
            if node["type"] != "sample" or is_deterministic(node):
                continue
            if site_is_subsample(node):
                continue
            where = "observed" if node["is_observed"] else "drawn here"
            if side == "model" and name in guide:
                where = "replayed: the value that the guide has drawn"
            lines = [_distribution(node["fn"]), f"value {_text_of(node['value'])}", where]
            lines.append(f"log {'q' if side == 'guide' else 'p'} = {_log_prob(node)}")
            found.append(self._stage(side, name + which, lines, side, (side, name)))
        return found

    def _gradients(self) -> list[Stage]:
        found = []
        for name, (_, grad) in self._before.items():
            lines = ["nothing reached it in this step"]
            if grad is not None:
                norm = float(torch.linalg.vector_norm(real(grad).double()))
                lines = [f"gradient of the loss {_text_of(grad)}", f"norm {norm:.6g}"]
            found.append(self._stage("gradient", name, [*lines, "(unconstrained)"], "", ("", name)))
        return found

    def _updates(self) -> list[Stage]:
        found = []
        store = pyro.get_param_store()
        for name, leaf in store.named_parameters():
            before = self._before.get(name)
            if before is None:
                continue
            lines = [f"unconstrained {_text_of(before[0])} → {_text_of(leaf.detach())}"]
            constrained = store[name].detach()
            if constrained.shape != leaf.shape or not torch.equal(constrained, leaf.detach()):
                lines = [*lines, f"constrained now {_text_of(constrained)}"]
            norm = float(torch.linalg.vector_norm(real(leaf.detach() - before[0]).double()))
            lines.append(f"moved by {norm:.6g}")
            found.append(self._stage("update", name, lines, "optimizer"))
        return found

    def _stage(
        self, kind: str, name: str, lines: list[str], top: str, at: tuple[str, str] | None = None
    ) -> Stage:
        line = self._code.seen.get(at, 0) if at is not None else 0
        line = line or self._code.defined.get(top, 0)
        first, code = self._code.around(line)
        return Stage(kind, name, tuple(lines), line, first, code)


class _Code:
    """The scenario's file, and the lines that sites and parameters were seen on."""

    def __init__(self, path: Path, text: bytes) -> None:
        self.path = str(path)
        self.seen: dict[tuple[str, str], int] = {}
        """By the side, which is empty for parameters, and the name."""
        self.defined: dict[str, int] = {}
        """Where the file sets its names."""
        self._lines = text.decode("utf-8", "replace").splitlines()
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            return
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names = [node.name]
            self.defined |= dict.fromkeys(names, node.lineno)

    def around(self, line: int) -> tuple[int, tuple[str, ...]]:
        """The number of the first of the lines around one, and those lines; none for line 0."""
        if not line:
            return 0, ()
        first = max(1, line - AROUND)
        return first, tuple(self._lines[first - 1 : line + AROUND])

    def here(self) -> int:
        """The line of the innermost frame in the file; 0 if there is none."""
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == self.path:
                return frame.f_lineno
            frame = frame.f_back  # type: ignore[assignment]
        return 0


class _Lines(Messenger):  # type: ignore[misc]
    """Notes on which line each site and each parameter is, the first time it is met."""

    def __init__(self, code: _Code) -> None:
        super().__init__()
        self._code = code

    def _pyro_post_sample(self, msg: Any) -> None:
        replayed = any(isinstance(one, ReplayMessenger) for one in handler_stack())
        self._note("model" if replayed else "guide", msg["name"])

    def _pyro_post_param(self, msg: Any) -> None:
        self._note("", msg["name"])

    def _note(self, side: str, name: str) -> None:
        if not self._code.seen.get((side, name)):
            self._code.seen[side, name] = self._code.here()


def _log_prob(node: Any) -> str:
    if enumerate_dim(node) is not None:
        return f"{_text_of(node['log_prob'])}, by the values that are enumerated"
    total = node.get("log_prob_sum")
    if total is None and "log_prob" in node:
        total = node["log_prob"].sum()
    if total is None:
        return "not computed by this estimator"
    return f"{_text_of(total)} nats"


def _distribution(fn: Any) -> str:
    while type(fn).__name__ in _WRAPPERS:
        fn = fn.base_dist
    own: dict[str, Any] = vars(fn)
    names = getattr(type(fn), "arg_constraints", {})
    names = names if isinstance(names, dict) else {}
    shown = [f"{name} {_text_of(own[name])}" for name in names if isinstance(own.get(name), Tensor)]
    return f"{type(fn).__name__}({', '.join(shown)})"


def _text_of(value: Any) -> str:
    """A value in a few numbers."""
    if not isinstance(value, Tensor):
        return shown(value, str)[:80]
    value = real(value.detach()).double()
    if value.numel() <= FEW:
        numbers = [f"{x:.6g}" for x in value.reshape(-1).tolist()]
        return numbers[0] if value.dim() == 0 else f"[{', '.join(numbers)}]"
    shape = " × ".join(map(str, value.shape))
    low, high = float(value.min()), float(value.max())
    return f"{shape} numbers, mean {float(value.mean()):.6g}, in [{low:.6g}, {high:.6g}]"
