"""`elbo-tui check`: what is wrong with a scenario, before the first step and in a short run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import msgspec

from tui_elbo.cli.options import add_engine_options, parser, whole
from tui_elbo.cli.progress import progress
from tui_elbo.cli.run import narrate
from tui_elbo.cli.streams import own_stdout
from tui_elbo.model.errors import ScenarioError
from tui_elbo.model.findings import Finding, Subject, finding_line, finding_object
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.model.text import safe
from tui_elbo.protocol import (
    EngineBusy,
    ErrorReported,
    Event,
    Load,
    RunUntil,
    WarningIssued,
)
from tui_elbo.protocol.run_state import RunState

STEPS = 300
"""Of the short run, by default."""

FOUND = 4
"""The exit code where there are errors or warnings."""

DESCRIPTION = """\
Say what is wrong with a scenario: at once what model and guide show before the first step, then
what a short run shows. The exit code is 0 if there is no error and no warning, 4 if there is, and 1
if the scenario does not load. `elbo-tui rule CODE` explains a finding.
"""


def main(words: list[str]) -> int:
    """Check a scenario; returns the exit code.

    Raises:
        UsageError: if there is no such scenario.
        ScenarioError: if it does not load.
    """
    options = parser("elbo-tui check", DESCRIPTION)
    options.add_argument("scenario", help="a gallery name, a path or a module")
    options.add_argument(
        "--steps", type=whole(0), default=STEPS, metavar="N", help=f"of the run; default: {STEPS}"
    )
    output = options.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    output.add_argument(
        "--github", action="store_true", help="as annotations of a GitHub workflow, on stdout"
    )
    add_engine_options(options)
    chosen = options.parse_args(words)
    path = find_scenario(chosen.scenario).path
    out = own_stdout()
    printer = FindingPrinter(out, _form(chosen, path))
    code = _check(chosen, printer)
    out.close()
    return code


def _form(chosen: argparse.Namespace, path: Path) -> Callable[[Finding], str]:
    if chosen.json:
        return lambda finding: msgspec.json.encode(finding_object(finding)).decode()
    if chosen.github:
        return lambda finding: annotation(finding, path)
    return lambda finding: safe(finding_line(finding), lines=True)


class FindingPrinter:
    """Prints each finding once.

    Args:
        out: where to.
        form: makes its text.
    """

    def __init__(self, out: TextIO, form: Callable[[Finding], str]) -> None:
        self._out, self._form = out, form
        self._printed: set[tuple[str, Subject]] = set()
        self.worst = False
        """Whether one of them is an error or a warning."""

    @property
    def silent(self) -> bool:
        """Whether nothing has been printed."""
        return not self._printed

    def take(self, findings: tuple[Finding, ...]) -> None:
        """Print those that have not been printed."""
        progress.clear()
        for finding in findings:
            if finding.key not in self._printed:
                self._printed.add(finding.key)
                self.worst = self.worst or finding.level != "note"
                self._out.write(f"{self._form(finding)}\n")
        self._out.flush()


def annotation(finding: Finding, path: Path) -> str:
    """A finding as GitHub shows it at a line of the file.

    References:
        https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    kind = {"error": "error", "warning": "warning", "note": "notice"}[finding.level]
    place = f"file={_property(str(path))}" + (f",line={finding.line}" if finding.line else "")
    title = _property(f"{finding.code} {finding.name}")
    text = f"{finding.message}: {finding.hint}" if finding.hint else finding.message
    return f"::{kind} {place},title={title}::{_escaped(safe(text))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


class _Run:
    """A scenario carried by the engine's own scenario source, in this process."""

    def __init__(self) -> None:
        from tui_elbo.engine.scenario_source import ScenarioSource  # noqa: PLC0415 - torch

        self.state = RunState()
        self.faults: list[ErrorReported] = []
        self.source = ScenarioSource(self._take, history=lambda: self.state.history)

    def _take(self, event: Event) -> None:
        self.state.apply(event)
        match event:
            case ErrorReported():
                self.faults.append(event)
            case WarningIssued() if event.source == "elbo-tui":
                narrate(event.text)
            case EngineBusy() if event.text:
                progress.show(safe(event.text))


def _check(chosen: argparse.Namespace, printer: FindingPrinter) -> int:
    progress.show("importing torch and Pyro")
    run = _Run()
    run.source.handle(
        Load(
            target=chosen.scenario,
            seed=chosen.seed,
            given=tuple(chosen.given),
            threads=chosen.threads,
            device=chosen.device,
            lens_in_process=chosen.lens_in_process,
            checkpoint_memory=chosen.checkpoint_memory,
        )
    )
    if run.state.loaded is None:
        fault = run.faults[-1]
        raise ScenarioError(
            fault.what, where=fault.where, hint=fault.hint, traceback=fault.traceback
        )
    progress.show("examining model and guide before the first step")
    run.source.wait_for_checks()
    printer.take(run.state.findings)
    if chosen.steps:
        progress.begin(0, chosen.steps)
        run.source.handle(RunUntil(until=chosen.steps))
        while run.source.busy:
            run.source.work()
            if run.source.ready:
                progress.stepped(run.source.steps_taken, chosen.steps)
            elif not run.state.phase:
                progress.show(f"examining the run at step {run.source.steps_taken}")
        progress.show(f"examining the run at step {run.source.steps_taken}")
        run.source.wait_for_checks()
        printer.take(run.state.findings)
    for text in () if run.state.checked is None else run.state.checked.unchecked:
        narrate(text)
    for fault in run.faults:
        narrate(fault.what)
    if printer.silent and not (run.faults or chosen.json or chosen.github):
        ran = f" and in {chosen.steps} steps" if chosen.steps else ""
        verdict = "" if run.state.verdict is None else f" {run.state.verdict.text}"
        narrate(f"no rule has found a fault before the first step{ran}.{verdict}")
    return FOUND if printer.worst else 1 if run.faults else 0
