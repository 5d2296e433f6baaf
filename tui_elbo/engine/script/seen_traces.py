"""The traces of model and guide that a loss of a script's own makes, where it is no ELBO of Pyro's.

Only traces are taken whose log probabilities the loss has computed itself: nothing is run here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyro.poutine import Trace
from pyro.poutine.messenger import unwrap
from pyro.poutine.trace_messenger import TraceHandler

from tui_elbo.engine.compat.pyro import PARTICLE_PLATE, enumerate_dim

MOST = 1024
"""Traces of a step that are kept while it lasts."""


class SeenTraces:
    """The traces of a model and a guide, in the order in which they were made.

    Args:
        model: whose traces are kept.
        guide: likewise.
    """

    def __init__(self, model: Any, guide: Any) -> None:
        self._owners = _plain(model), _plain(guide)
        self._traces: tuple[list[Trace], list[Trace]] = [], []

    def take(self, fn: Any, trace: Trace) -> None:
        """A trace of this function has been made."""
        for owner, known in zip(self._owners, self._traces, strict=True):
            if _plain(fn) is owner and len(known) < MOST:
                known.append(trace)

    def pairs(self) -> list[tuple[Trace, Trace]]:
        """Of the model and of the guide whose values it has taken over, one pair a particle.

        None at all where one does not belong to another, or no sum of it has been computed.
        """
        models, guides = self._traces
        if len(models) != len(guides):
            return []
        found = list(zip(models, guides, strict=True))
        return found if all(_is_pair(*pair) for pair in found) else []


def _plain(fn: Any) -> Any:
    while True:
        fn = unwrap(fn)
        if not isinstance(fn, TraceHandler):
            return fn
        fn = fn.fn


def _is_pair(model: Trace, guide: Trace) -> bool:
    sites = [node for one in (model, guide) for node in one.nodes.values()]
    drawn = {name: node for name, node in guide.nodes.items() if _is_latent(node)}
    return all(
        name in model.nodes and model.nodes[name].get("value") is node["value"]
        for name, node in drawn.items()
        if not node["infer"].get("is_auxiliary")
    ) and not any(
        node["type"] == "sample"
        and (
            "log_prob_sum" not in node
            or enumerate_dim(node) is not None
            or any(frame.name == PARTICLE_PLATE for frame in node["cond_indep_stack"])
        )
        for node in sites
    )


def _is_latent(node: Any) -> bool:
    return node["type"] == "sample" and not node["is_observed"]


class _Now(threading.local):
    seen: SeenTraces | None = None
    within = False


_now = _Now()
_lock = threading.Lock()
_get_trace: Callable[..., Trace] = TraceHandler.get_trace
_count = 0


def _seen(self: TraceHandler[..., Any], *args: Any, **kwargs: Any) -> Trace:
    if _now.seen is None or _now.within:
        return _get_trace(self, *args, **kwargs)
    _now.within = True
    try:
        trace = _get_trace(self, *args, **kwargs)
    finally:
        _now.within = False
    _now.seen.take(self.fn, trace)
    return trace


@contextmanager
def seeing(seen: SeenTraces) -> Iterator[None]:
    """Keep the traces that this thread makes inside; of traces within traces, the outermost."""
    global _get_trace, _count  # noqa: PLW0603 - a class has one
    with _lock:
        if not _count:
            _get_trace = TraceHandler.get_trace
            TraceHandler.get_trace = _seen
        _count += 1
    before, _now.seen = _now.seen, seen
    try:
        yield
    finally:
        _now.seen = before
        with _lock:
            _count -= 1
            if not _count:
                TraceHandler.get_trace = _get_trace
