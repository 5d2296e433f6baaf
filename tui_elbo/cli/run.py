"""`elbo-tui run`: a session without a screen; it prints the records that the explorer shows.

`--until` ends it on a condition, `--script` presses the explorer's stepping keys, `--save` and
`--from` write a run to a file and continue it. What the scenario's code prints goes to stderr, from
Python or from C; stdout has our data alone.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from tui_elbo.cli.findings import add_findings_option, run_checks
from tui_elbo.cli.options import add_engine_options, parser, whole
from tui_elbo.cli.progress import progress
from tui_elbo.cli.report import (
    JsonLines,
    LensFollower,
    Printer,
    SummaryPrinter,
    add_lens_options,
    follow,
    param_rows,
)
from tui_elbo.cli.streams import own_stdout
from tui_elbo.cli.verdict import (
    UntilConverged,
    averaged,
    print_average,
    print_verdict,
    reached,
    verdict_line,
)
from tui_elbo.client.commands import MAX_COUNT
from tui_elbo.model.averaging import AverageTaken
from tui_elbo.model.conditions import Condition, parse
from tui_elbo.model.csv_table import CsvTable
from tui_elbo.model.errors import StepError, UsageError
from tui_elbo.model.findings import Finding
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch, Column, ParamRecord
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.model.text import safe
from tui_elbo.model.tuning import Tuning, parse_tuning
from tui_elbo.model.verdict import CONVERGED, Verdict
from tui_elbo.runfile import is_run_file
from tui_elbo.runfile.database import check_place, read

if TYPE_CHECKING:
    from tui_elbo.engine.checks.run_checks import RunChecks
    from tui_elbo.engine.session import Session


class UntilCondition:
    """Ends a run on a condition, and reports it.

    Args:
        condition: ends the run, on the first step that meets it.
        session: what is run.
        report: called with each message.
    """

    def __init__(
        self, condition: Condition, session: Session, report: Callable[[str], object]
    ) -> None:
        self._condition, self._session, self._report = condition, session, report
        session.until, session.options.watched = condition.met, condition.params

    def check(self, batches: list[Batch]) -> None:
        """Check, after the first step, that the run has what the condition names.

        Raises:
            ConditionError: if it has not.
        """
        if batches and batches[0].first == 1:
            self._condition.check(*(batch.layout for batch in batches))

    def met(self, batches: list[Batch]) -> bool:
        """Whether the newest step meets it; if so, report it."""
        if not self._session.met or not batches:
            return False
        batch = batches[-1]
        step = batch.first + batch.steps - 1

        def number(column: Column) -> float:
            return float(batch.values[batch.layout.index[column], -1])

        why = self._condition.describe(batch.layout, step, number)
        because = "" if self._condition.step else f": {why}"
        self._report(f"--until {self._condition.text}: met at step {step}{because}")
        return True

    def missed(self) -> None:
        """Report that the run has ended without it."""
        steps = self._session.steps_taken
        self._report(f"--until {self._condition.text}: not met in {steps} steps")


EXAMPLE = '"60n 44N 30n"'
COUNTED = {"n": "steps", "N": "takes the run back"}
PLAIN = {
    "f": "runs to the scenario's last step",
    "r": "restarts",
    "G": "goes over to the branch that was left last, G(2) to branch 2",
    "t(lr 0.1)": "changes settings",
}

CHUNK_SECONDS = 0.2


class ProgressPrinter:
    """Shows how far a run has come, besides what another printer does.

    Args:
        printer: takes the steps.
        steps: the last step that the run is to take.
    """

    def __init__(self, printer: Printer, steps: int) -> None:
        self._printer, self._steps = printer, steps

    def take(self, batches: list[Batch], last: bool) -> None:
        """Hand the steps on."""
        self._printer.take(batches, last)
        for batch in batches[-1:]:
            progress.stepped(batch.first + batch.steps - 1, self._steps)

    def close(self) -> None:
        """Hand on that it has ended."""
        progress.clear()
        self._printer.close()


class KeyPress(NamedTuple):
    """A key, after its count."""

    key: str
    times: int = 1
    """The count; of `G` the number of a branch, 0 for the one that was left last."""
    tuning: Tuning | None = None
    """What is answered to the question that `t` asks."""


def add_script_option(options: argparse.ArgumentParser) -> None:
    """Add the option that `parse_keys` reads."""
    options.add_argument(
        "--script",
        metavar="KEYS",
        help=f"press keys of the explorer, as in {EXAMPLE}, and print each record as it is made",
    )


def parse_keys(text: str) -> list[KeyPress]:
    """The key presses of a script.

    Raises:
        UsageError: if something in it is no key that it may have.
    """
    found = []
    for word, answer in re.findall(
        r"([tG]\(([^)]*)\)|\d*\D|\d+$)", re.sub(r"\s(?![^(]*\))", "", text)
    ):
        count, key = word[:-1], word[-1]
        if word.startswith("t("):
            found.append(KeyPress("t", tuning=parse_tuning(answer)))
        elif word.startswith("G(") and answer.strip().isdecimal():
            found.append(KeyPress("G", int(answer)))
        elif key in COUNTED or word in PLAIN:
            times = 0 if key == "G" else max(1, min(int(count or 1), MAX_COUNT))
            found.append(KeyPress(key, times))
        else:
            keys = ", ".join(f"{one} {does}" for one, does in (COUNTED | PLAIN).items())
            raise UsageError(f"{word!r} is no key of a script", hint=f"{keys}: as in {EXAMPLE}")
    if not found:
        raise UsageError("a script presses at least one key", hint=f"as in {EXAMPLE}")
    return found


def script_keys(chosen: argparse.Namespace) -> list[KeyPress]:
    """The key presses that the options ask for; none without a script.

    Raises:
        UsageError: if the script is none, or the options do not go together.
    """
    if chosen.script is None:
        return []
    if not chosen.json:
        what = "--script prints records as they are made, and a table has a row for each step"
        raise UsageError(what, hint="add --json")
    for name in ("steps", "until", "lens"):
        if getattr(chosen, name) is not None:
            what = f"--script says where the run goes, and so does --{name}"
            raise UsageError(what, hint="give one of them")
    return parse_keys(chosen.script)


def press_keys(
    session: Session,
    pressed: list[KeyPress],
    printer: Printer,
    stopped: Callable[[], bool],
    checks: RunChecks | None = None,
) -> None:
    """Press the keys; stops on a step whose loss is not finite, as the explorer does.

    Args:
        session: what is run.
        pressed: the keys.
        printer: takes the steps.
        stopped: whether the run is to stop.
        checks: follow the run.
    """
    for key, times, change in pressed:
        if change is not None:
            session.tune(change)
        elif key == "G":
            session.switch(times)
        elif key == "N":
            session.go_to(max(0, session.steps_taken - times))
        elif key == "r":
            session.restart()
        else:
            goal = session.scenario.steps if key == "f" else session.steps_taken + times
            while session.steps_taken < goal and not stopped():
                batches = session.advance(goal - session.steps_taken, CHUNK_SECONDS)
                printer.take(batches, last=session.steps_taken == goal)
                if checks is not None:
                    checks.stepped()
                if session.non_finite is not None:
                    return
        if key in "GNr" and checks is not None:
            checks.travelled()
        if stopped():
            return


def add_saving_options(options: argparse.ArgumentParser) -> None:
    """Add the options that `run_target` and `SavingPrinter` read."""
    options.add_argument(
        "--save", metavar="FILE", help="save the run when it ends, however it ends"
    )
    options.add_argument(
        "--from", dest="saved", metavar="FILE", help="go on with a saved run, exactly"
    )


def run_target(chosen: argparse.Namespace, pressed: list[KeyPress]) -> str:
    """What to run: a scenario, or a saved run.

    Raises:
        UsageError: if there is no such thing, or the options do not go together.
    """
    if (chosen.saved is None) == (chosen.scenario is None):
        what = "a scenario and --from both say what to run" if chosen.saved else "nothing to run"
        raise UsageError(what, hint="name a scenario, or --from and a saved run")
    if chosen.save is not None and any(press.key == "G" for press in pressed):
        what = "--save keeps one way that the run went, and G goes over to another"
        raise UsageError(what, hint="leave out one of them")
    if chosen.save is not None:
        check_place(Path(chosen.save))
    name: str = chosen.scenario if chosen.saved is None else chosen.saved
    if chosen.saved is None and not is_run_file(name):
        find_scenario(name)
        return name
    if chosen.seed is not None or chosen.device is not None or chosen.given:
        what = "a saved run has its seed, its device and its settings"
        raise UsageError(what, hint="leave out --seed, --device and --set")
    if chosen.lens is not None:
        raise UsageError("--lens follows a run from its beginning", hint="leave out --lens")
    read(Path(name))
    return name


class SavingPrinter:
    """A printer that also saves the run at the end.

    Args:
        printer: takes the steps as well.
        session: what is run.
        path: where to save it.
    """

    def __init__(self, printer: Printer, session: Session, path: str) -> None:
        self._printer, self._session, self._path = printer, session, Path(path)
        self._history = History()
        self._keep(list(session.restored))

    def take(self, batches: list[Batch], last: bool) -> None:
        """Take the next steps."""
        self._keep(batches)
        self._printer.take(batches, last)

    def close(self) -> None:
        """Print what is left, and save the run."""
        self._printer.close()
        self._history.forget_after(self._session.steps_taken)
        self._session.save(self._path, self._history.batches())

    def _keep(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._history.forget_after(batch.first - 1)
            self._history.append(batch)


DESCRIPTION = """\
Run a scenario without a screen.

COND is a step number, or compares the numbers of a step, by the names that --json has:
  --until 500                  --until 'params["phi"] > 1 and step > 100'
  --until 'elbo > -1.2'        --until 'params["w"][3] < 0 or params["w"].mean > 0.9'
  --until 'grad_norm > 100'    --until 'not finite(sites["x"].log_p)'
  --until converged            until the verdict is stationary, or stopped with more to gain
grad_norm and update_norm alone are the largest of any parameter.
Beyond 512 columns parameters are summed up by module, and those that COND names recorded whole.

The last line of --json, and of the summary, is the verdict: is it done, and how much is left.

--average takes the run, when it has ended, to the mean of the unconstrained parameters over the
last quarter of its steps, counted from the last change of settings, and prints the parameters there
and what that has gained; the optimizer keeps its state.
The verdict is that on the run before. --save then saves the run as it stands at the mean.

Faults that are found before the first step, while it runs and where it ends are printed on stderr,
each once, as `elbo-tui check` prints them; --no-findings looks for none, and `ignore = ["SVI012"]`
in the scenario leaves out a rule.

--csv has a column for whatever any step has; an empty cell is a number that the step lacks or
that is not finite. Since columns may come late, the table is written when the run ends.
"""

CHUNK_STEPS, CHUNK_SECONDS = 2000, 0.2


def main(words: list[str]) -> int:
    """Run a scenario and print what happened; returns the exit code.

    Raises:
        UsageError, ScenarioError: before the first step.
        StepError: if a step raised; the steps before it are printed.
    """
    chosen = _options().parse_args(words)
    pressed = script_keys(chosen)
    name = run_target(chosen, pressed)
    converging = chosen.until is not None and chosen.until.strip() == CONVERGED
    condition = None if chosen.until is None or converging else parse(chosen.until)
    out = own_stdout()
    from tui_elbo.engine.record.options import Always, Every  # noqa: PLC0415 - these import torch

    progress.hidden = chosen.json and out.isatty()
    progress.show(f"loading {safe(name)}")
    session = _session(name, chosen, goes_back=bool(pressed or chosen.save))
    steps = chosen.steps or (condition and condition.step) or session.scenario.steps
    session.due = Every(chosen.every, steps)
    if pressed or (condition is not None and condition.reads_params):
        session.due = Always()
    until = None if condition is None else UntilCondition(condition, session, narrate)
    printer = _printer(chosen, session, steps, out)
    follower = follow(session, chosen, steps, out, narrate)
    stop = _Stop(session)
    checks = None if chosen.no_findings else run_checks(session, steps, chosen, narrate)
    attribution = None if follower is None else follower.attribution
    end = None
    if converging:
        end = UntilConverged(
            session,
            lambda: reached(session, chosen, attribution),
            narrate,
            lambda: () if checks is None else checks.standing,
        )

    def go() -> int:
        if pressed:
            press_keys(session, pressed, printer, lambda: stop.asked, checks)
            return _ended(session)
        ends = _Ends(until, end, stop)
        return _run(session, steps, printer, ends, follower=follower, checks=checks)

    progress.begin(session.steps_taken, steps)
    code = _guarded(session, printer, stop, go, checks)
    if checks is not None and not stop.asked:
        progress.show(f"looking for faults at step {session.steps_taken}")
        checks.end(attribution)
    standing = () if checks is None else checks.standing
    verdict, taken, refused = None, None, None
    if not stop.asked and session.steps_taken:
        progress.show(f"judging the run at step {session.steps_taken}")
        verdict = None if chosen.csv else reached(session, chosen, attribution)
        try:
            # After the verdict, which is on the run that led here, and before the run is saved.
            taken = averaged(session, chosen, attribution) if chosen.average else None
        except UsageError as error:
            refused = error
    progress.clear()
    for one in (printer, follower):
        if one is not None:
            one.close()
    _print_average(chosen, taken, out)
    _print_verdict(chosen, verdict, standing, out)
    out.close()
    if refused is not None:
        raise refused
    return code


def _print_average(
    chosen: argparse.Namespace,
    average: tuple[AverageTaken, dict[str, ParamRecord]] | None,
    out: TextIO,
) -> None:
    """Print what going to the mean has gained, and the parameters there."""
    if average is None:
        return
    taken, params = average
    if chosen.json:
        print_average(taken, params, out)
    elif chosen.csv:
        narrate("\n".join([taken.text, *param_rows(params)]))
    else:
        out.write("\n".join(["", taken.text, *param_rows(params), ""]))


def _print_verdict(
    chosen: argparse.Namespace,
    verdict: Verdict | None,
    standing: tuple[Finding, ...],
    out: TextIO,
) -> None:
    """Print the verdict, which is the last line."""
    if verdict is not None and chosen.json:
        print_verdict(verdict, out, standing)
    elif verdict is not None:
        out.write(f"\n{verdict_line(verdict, standing)}\n")


def _session(name: str, chosen: argparse.Namespace, *, goes_back: bool) -> Session:
    from tui_elbo.engine.session import Session  # noqa: PLC0415
    from tui_elbo.engine.verdict.iterates import memory_of  # noqa: PLC0415

    return Session(
        name,
        seed=chosen.seed,
        given=tuple(chosen.given),
        threads=chosen.threads,
        device=chosen.device,
        checkpoint_memory=chosen.checkpoint_memory if goes_back else 0,
        iterates_memory=memory_of(chosen.checkpoint_memory),
        warn=narrate,
        busy=_NarrateOnce(),
        flag=lambda caution: narrate(caution.text) if caution.kind == "source" else None,
    )


def _printer(chosen: argparse.Namespace, session: Session, steps: int, out: TextIO) -> Printer:
    printer: Printer = JsonLines(out, chosen.every, steps)
    if not chosen.json:
        printer = CsvTable(out, chosen.every) if chosen.csv else SummaryPrinter(out, session, steps)
        printer.take(list(session.restored), last=False)
    printer = ProgressPrinter(printer, steps)
    return printer if chosen.save is None else SavingPrinter(printer, session, chosen.save)


def _options() -> argparse.ArgumentParser:
    options = parser("elbo-tui run", DESCRIPTION)
    options.add_argument("scenario", nargs="?", help="a gallery name, a path or a module")
    options.add_argument(
        "--steps", type=whole(1), metavar="N", help="default: the scenario's own, else 1000"
    )
    options.add_argument(
        "--every", type=whole(1), default=1, metavar="K", help="print each K-th step, and the last"
    )
    options.add_argument("--until", metavar="COND", help="stop on the first step that meets it")
    options.add_argument(
        "--average",
        action="store_true",
        help="at the end, take the run to the mean of its iterates, and print what that gained",
    )
    output = options.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON object a step on stdout")
    output.add_argument("--csv", action="store_true", help="a table on stdout, when the run ends")
    add_script_option(options)
    add_saving_options(options)
    add_findings_option(options)
    add_lens_options(options)
    add_engine_options(options)
    return options


class _NarrateOnce:
    """Narrates what takes long, but not its progress."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        what = text.partition(":")[0]
        if what != self._last:
            self._last = what
            narrate(what)


class _Stop:
    """ctrl+c: breaks off the person's code at once, and ours between two pieces of the run.

    Asked twice, it waits for nothing.
    """

    def __init__(self, session: Session) -> None:
        self.asked = False
        self._session = session
        # A shell starts what runs in the background with ctrl+c ignored; so it stays.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._ask)

    def _ask(self, *_: object) -> None:
        at_once, self.asked = self.asked or self._session.stepping, True
        self._session.interrupt()
        if at_once:
            raise KeyboardInterrupt


def _guarded(
    session: Session,
    printer: Printer,
    stop: _Stop,
    go: Callable[[], int],
    checks: RunChecks | None,
) -> int:
    """Run, and print what there is however that ends; returns the exit code."""
    try:
        code = go()
    except StepError as error:
        printer.take(session.flush(), last=True)
        printer.close()
        if checks is not None:
            checks.failed(error)
        raise
    except KeyboardInterrupt:
        stop.asked, code = True, 130
    if stop.asked and not code % 130:
        printer.take(session.flush(), last=True)
        narrate(f"interrupted, {session.steps_taken} steps taken")
        return 130
    return code


class _Ends(NamedTuple):
    """What may end a run before its last step."""

    until: UntilCondition | None
    converged: UntilConverged | None
    stop: _Stop


def _run(
    session: Session,
    steps: int,
    printer: Printer,
    ends: _Ends,
    *,
    follower: LensFollower | None,
    checks: RunChecks | None,
) -> int:
    until, end, stop = ends
    while session.steps_taken < steps and not stop.asked:
        # A condition's names are checked as soon as the first step has shown which there are.
        most = 1 if until is not None and session.steps_taken == 0 else CHUNK_STEPS
        if follower is not None:
            most = min(most, follower.most())
        if end is not None:
            most = min(most, end.most)
        batches = session.advance(min(steps - session.steps_taken, most), CHUNK_SECONDS)
        if until is not None:
            until.check(batches)
        printer.take(batches, last=session.met or session.non_finite is not None)
        if follower is not None:
            follower.take(batches)
        if checks is not None:
            checks.stepped()
        met = until is not None and until.met(batches)
        if end is not None and end.met():
            printer.take([], last=True)
            met = True
        if met or session.non_finite is not None:
            return _ended(session)
    for one in (until, end):
        if one is not None and not stop.asked:
            one.missed()
    return 0


def _ended(session: Session) -> int:
    if session.non_finite is None:
        return 0
    narrate(str(session.non_finite))
    return 3


def narrate(text: str) -> None:
    """Print a message on stderr."""
    progress.clear()
    print(f"elbo-tui: {safe(text, lines=True)}", file=sys.stderr, flush=True)
