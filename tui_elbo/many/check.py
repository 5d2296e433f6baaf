"""Whether every setting of a grid fits the scenario, before anything is started."""

from __future__ import annotations

import msgspec

from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import RunSpec
from tui_elbo.model.tuning import Tuning
from tui_elbo.runfile.database import RunSettings, SavedRun


def check_settings(settings: RunSettings, text: bytes, runs: tuple[RunSpec, ...]) -> int:
    """Execute the scenario, and try a step with each combination of guide and settings.

    Args:
        settings: what all runs have in common.
        text: the scenario's source.
        runs: of the grid.

    Returns:
        How many steps the scenario asks for.

    Raises:
        ScenarioError: if it cannot be executed.
        UsageError: if a combination does not fit, with the reason.
    """
    from tui_elbo.engine.session import Session  # noqa: PLC0415 - imports torch

    steps = 0
    for guide, given in dict.fromkeys((run.guide, run.given) for run in runs):
        own = msgspec.structs.replace(settings, guide=guide, given=given)
        session = Session(SavedRun(own, text, ()))
        steps = session.scenario.steps
        alike = [run for run in runs if (run.guide, run.given) == (guide, given)]
        for tuning in dict.fromkeys(run.tuning or Tuning() for run in alike):
            try:
                session.tune(tuning)
            except UsageError as error:
                what = error.what
                if what.startswith(f"{tuning} does not fit"):
                    own_settings = [f"{name}={text}" for name, text in given]
                    words = ", ".join(filter(None, (guide, *own_settings, str(tuning))))
                    what = (words or "a first step") + what.removeprefix(str(tuning))
                raise UsageError(what, hint=error.hint, traceback=error.traceback) from error
    return steps
