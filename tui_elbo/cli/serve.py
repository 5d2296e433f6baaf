"""`elbo-tui serve`: a run without a terminal, for terminals to come and go."""

from __future__ import annotations

from tui_elbo.cli.options import add_engine_options, add_linger, parser, whole
from tui_elbo.cli.run import narrate
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.protocol import Load

DESCRIPTION = """\
Run a scenario without a terminal, in a batch job say; `elbo-tui attach` shows it.

When it has taken its steps it waits for a terminal, for as long as --linger says.
What the scenario prints goes where this command's own output goes.
"""


def main(words: list[str]) -> int:
    """Run it; the process ends with the run.

    Raises:
        UsageError: if there is no such scenario, or no place where a terminal would find the run.
    """
    options = parser("elbo-tui serve", DESCRIPTION)
    options.add_argument("scenario", help="a gallery name, a path or a module")
    options.add_argument(
        "--steps", type=whole(1), metavar="N", help="default: the scenario's own, else 1000"
    )
    add_linger(options)
    add_engine_options(options)
    chosen = options.parse_args(words)
    find_scenario(chosen.scenario)
    from tui_elbo.engine.server.headless import serve_alone  # noqa: PLC0415 - only what a command needs

    load = Load(
        target=chosen.scenario,
        seed=chosen.seed,
        given=tuple(chosen.given),
        threads=chosen.threads,
        device=chosen.device,
        checkpoint_memory=chosen.checkpoint_memory,
        lens_in_process=chosen.lens_in_process,
        tolerance=chosen.tolerance,
    )
    serve_alone(load, chosen.steps, chosen.linger, narrate)
    return 0
