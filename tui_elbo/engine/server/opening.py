"""A scenario as a terminal asks for it."""

from __future__ import annotations

from tui_elbo.engine.server.event_emitter import EventEmitter
from tui_elbo.engine.session import Session
from tui_elbo.protocol import EngineBusy, Load


def opened(load: Load, emitter: EventEmitter) -> Session:
    """A session at step 0, or where a saved run stood; it tells what takes its time.

    Raises:
        UsageError, ScenarioError: as `Session`.
    """
    return Session(
        load.target,
        seed=load.seed,
        threads=load.threads,
        device=load.device,
        checkpoint_memory=load.checkpoint_memory,
        warn=lambda text: emitter.remark(text, "elbo-tui"),
        busy=lambda text: emitter.send(EngineBusy(text)),
        caution=emitter.send,
    )
