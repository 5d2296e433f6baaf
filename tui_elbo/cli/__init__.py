"""The command `elbo-tui`: the only place that knows both the screen and the engine.

stdout is data, stderr is narration. Exit codes: 0; 1 the scenario failed; 2 usage; 3 a loss that
is not finite; 4 findings of level warning or worse (`check`); 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from tui_elbo.cli.completion import command_of_line, is_asked
from tui_elbo.cli.progress import progress
from tui_elbo.cli.streams import open_streams, to_nowhere
from tui_elbo.model.errors import ElboError

COMMANDS = {
    "run": "tui_elbo.cli.run",
    "sweep": "tui_elbo.cli.sweep",
    "compare": "tui_elbo.cli.compare",
    "report": "tui_elbo.cli.page",
    "check": "tui_elbo.cli.check",
    "rule": "tui_elbo.cli.rule",
    "explain": "tui_elbo.cli.explain",
    "noise": "tui_elbo.cli.noise",
    "tour": "tui_elbo.cli.tour",
    "list": "tui_elbo.cli.list",
    "new": "tui_elbo.cli.new",
    "watch": "tui_elbo.cli.watch",
    "runs": "tui_elbo.cli.runs",
    "attach": "tui_elbo.cli.attach",
    "end": "tui_elbo.cli.end",
    "serve": "tui_elbo.cli.serve",
    "completion": "tui_elbo.cli.completion",
}
"""Each command's module; without a command, the words belong to the explorer."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    # Not `list`: that is a module of this package as soon as it has been imported.
    words = [*(sys.argv[1:] if argv is None else argv)]
    if is_asked():
        words = [command_of_line(COMMANDS)]
    module = COMMANDS.get(words[0]) if words else None
    try:
        open_streams()
        if module is not None:
            code: int = importlib.import_module(module).main(words[1:])
        else:
            from tui_elbo.cli import explore  # noqa: PLC0415 - only what a command needs

            code = explore.main(words)
        if not sys.stdout.closed:  # The person's code may have closed it.
            sys.stdout.flush()
    except ElboError as error:
        _complain(error, "--traceback" in words)
        return error.exit_code
    except KeyboardInterrupt:
        progress.clear()
        return 130
    except BrokenPipeError:
        # Whatever read our output has seen enough, as in `| head`.
        to_nowhere(sys.stdout)
        return 141
    except OSError as error:
        to_nowhere(sys.stdout)
        _complain(ElboError(f"cannot write: {error.strerror or error}"), traceback=False)
        return 1
    return code


def _complain(error: ElboError, traceback: bool) -> None:
    from tui_elbo.model.text import safe  # noqa: PLC0415

    text = f"elbo-tui: {safe(str(error), lines=True)}"
    if error.traceback:
        more = safe(error.traceback, lines=True)
        text += f"\n{more if traceback else '  --traceback shows where it comes from'}"
    try:
        progress.clear()
        print(text, file=sys.stderr, flush=True)
    except OSError:
        to_nowhere(sys.stderr)
