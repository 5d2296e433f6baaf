"""A scenario as a terminal asks for it."""

from __future__ import annotations

from tui_elbo.engine.server.event_emitter import Teller
from tui_elbo.engine.session import Session
from tui_elbo.protocol import EngineBusy, Load


def opened(load: Load, teller: Teller) -> Session:
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
        warn=lambda text: teller.remark(text, "elbo-tui"),
        busy=lambda text: teller.send(EngineBusy(text)),
        caution=teller.send,
    )
