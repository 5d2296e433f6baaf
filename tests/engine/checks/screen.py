"""What the sentence pane and the status line say of a run, without a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tui_elbo.client.run_state import Run
from tui_elbo.client.spans import SpanChoice
from tui_elbo.engine.scenario_source import ScenarioSource
from tui_elbo.model.findings import Finding
from tui_elbo.protocol import Load, RunUntil
from tui_elbo.ui.panes.sentence import finding_lines, sentence_text, shown_finding, verdict_texts
from tui_elbo.ui.plot.run_curves import status_summary
from tui_elbo.ui.style.glyphs import UNICODE
from tui_elbo.ui.widgets.status import status_line


@dataclass(frozen=True)
class Screen:
    """What stands at the bottom of the screen at a step."""

    step: int
    sentence: str
    """What stands where the plain sentence stands."""
    status: str
    """The status line."""
    findings: tuple[Finding, ...]

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.sentence}\n{self.status}"


def screens(path: Path | str, steps: Sequence[int]) -> list[Screen]:
    """Run a scenario to each of these steps, or as far as it goes, and read the screen there."""
    run = Run()
    source = ScenarioSource(run.apply, history=lambda: run.history)

    def settle() -> None:
        while source.busy:
            source.work()
        source.wait_for_checks()
        while source.busy:
            source.work()

    source.handle(Load(target=str(path)))
    settle()
    seen = []
    for step in steps:
        source.handle(RunUntil(until=step))
        settle()
        seen.append(_screen(run))
        if run.step < step:
            break
    return seen


def _screen(run: Run) -> Screen:
    session = cast(Any, SimpleNamespace(run=run, watched=False))
    text = sentence_text(session, SpanChoice().span(run, None), run.step)
    plain = " ".join([text, *verdict_texts(run, run.step)[:1]])
    finding = shown_finding(run)
    sentence = plain
    if finding is not None:
        lines = finding_lines(finding, 400, 4, UNICODE)
        sentence = " ".join(text.strip() for line in lines for text, _ in line).strip()
    status = status_summary(run, run.step, running=False, count="")
    line = "".join(text for text, _ in status_line(status, 160, UNICODE))
    fault = f" FAULT {run.fault.what}" if run.fault is not None else ""
    return Screen(run.step, sentence, " ".join(line.split()) + fault, run.findings)
