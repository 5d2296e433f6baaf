"""Programs of others, run by themselves and under `elbo-tui watch`: what differs, what is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.client import ClosedError, Speaker
from tui_elbo.client.process import spawn_script
from tui_elbo.client.run_state import Run
from tui_elbo.engine.script.import_hook import environment
from tui_elbo.protocol import (
    AnyEvent,
    ComputeGradients,
    ComputeImportanceBound,
    GradientsComputed,
    Hello,
    ImportanceBoundComputed,
    JudgeRun,
    LensPointAdded,
    Loaded,
    Pause,
    RunStatus,
    RunUntil,
    Step,
    VerdictReached,
)

PROBE = Path(__file__).parent / "probe"
ENDS = 600.0
"""Seconds that a program goes on at most after its terminal has left."""

LOOKS = 10.0
"""Seconds that an answer is waited for at most: a look may take long, and the program may end."""


@dataclass(frozen=True)
class Program:
    """A program and its arguments."""

    path: str
    """In the folder of programs."""
    args: str = ""
    ci: bool = False
    """Whether `CI=1` is set, as by Pyro's own tests, so that it takes few steps."""

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return f"{self.path} {self.args}".strip()


@dataclass
class Shown:
    """What a terminal is shown of one training."""

    name: str = ""
    estimator: str = ""
    steps: int = 0
    terms: str = ""
    attribution: str = ""
    findings: str = ""
    verdict: str = ""
    errors: list[str] = field(default_factory=list)

    def row(self, program: str) -> str:
        """A row of the table of all programs."""
        parts = [
            f"{program}: {self.name}, {self.estimator}, {self.steps} steps",
            f"terms: {self.terms}",
            f"attribution: {self.attribution}",
            f"findings: {self.findings}",
            f"verdict: {self.verdict}",
            *self.errors,
        ]
        return " | ".join(parts)


@contextmanager
def surroundings(folder: Path, work: Path, program: Program) -> Iterator[None]:
    """The working folder and the environment of a program."""
    work.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        paths = [PROBE, folder / "lib", folder, Path(__file__).parents[2]]
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
        patch.setenv("ELBO_TUI_PROBE", str(work / "probe.json"))
        patch.setenv("PYTHONHASHSEED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("HOME", str(folder / "home"))
        if program.ci:
            patch.setenv("CI", "1")
        yield


def argv(folder: Path, program: Program) -> list[str]:
    """The program's own."""
    return [str(folder / program.path), *program.args.split()]


def plain(folder: Path, work: Path, program: Program, *words: str) -> dict[str, Any]:
    """What it comes to when Python runs it; with `words` before its name, what they make of it."""
    before = words or (sys.executable,)
    with surroundings(folder, work, program):
        ended = subprocess.run(
            [*before, *argv(folder, program)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        return _ended(work, ended.returncode, ended.stdout + ended.stderr)


def headless(folder: Path, work: Path, program: Program) -> dict[str, Any]:
    """What it comes to when it is watched without a terminal."""
    words = (sys.executable, "-m", "tui_elbo.cli", "watch", "--headless")
    return plain(folder, work, program, *words)


def looked_at(folder: Path, work: Path, program: Program) -> tuple[dict[str, Any], list[Shown]]:
    """What it comes to when a terminal holds, steps and looks at it, and what that is shown."""
    with surroundings(folder, work, program):
        words = argv(folder, program)

        def variables(line: int, output: int) -> dict[str, str]:
            return environment(words[0], line=line, output=output, hold=True)

        engine = spawn_script([sys.executable, *words], variables, has_stdin=False)
        terminal = Looking(Speaker(engine.line))
        try:
            with suppress(ClosedError, ConnectionError):
                terminal.look()
            code = engine.process.wait()
        finally:
            engine.end()
        return _ended(work, code, "\n".join(terminal.run.output.shown()).encode()), terminal.seen()


def on_a_terminal(folder: Path, work: Path, program: Program) -> dict[str, Any]:
    """What it comes to when a person steps it twice, lets it go on and leaves."""
    with surroundings(folder, work, program):
        # Its emulator is not among the oldest versions, with which the programs are not run.
        from tests.terminal.terminal import COMMAND, Terminal

        words = [*COMMAND, "watch", "--hold", *argv(folder, program)]
        with Terminal(words) as terminal:
            terminal.wait("n takes a step, space runs")
            terminal.press("n")
            terminal.wait(r"step 1 ")
            terminal.press("n")
            terminal.wait(r"step 2 |ended")
            terminal.press(" ")
            terminal.pass_time(1.0)
            terminal.press("d")
            if terminal.comes("cannot be left going|nothing to leave going"):
                terminal.wait("the script has ended")
                terminal.press("\x11")  # ctrl+q
            code = terminal.ended()
        until = time.monotonic() + ENDS
        while not (work / "probe.json").exists() and time.monotonic() < until:
            time.sleep(0.1)  # It has no parent any more that would hear of its end.
        return _ended(work, code, terminal.sent)


def compare(
    folder: Path, work: Path, program: Program, record: Callable[[str, object], None]
) -> None:
    """Check that it comes to the same in each of these ways; record what a terminal is shown."""
    alone = plain(folder, work / "plain", program)
    assert alone["code"] == 0, (work / "plain" / "output").read_text()[-2000:]
    unseen = headless(folder, work / "headless", program)
    seen, shown = looked_at(folder, work / "looked", program)
    for one in shown:
        record("program", one.row(program.name))
    assert sum(one.steps for one in shown) > 0
    assert unseen == alone
    assert seen == alone
    assert on_a_terminal(folder, work / "terminal", program) == alone


def _ended(work: Path, code: int, output: bytes) -> dict[str, Any]:
    path = work / "probe.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    path.unlink(missing_ok=True)
    (work / "output").write_bytes(output)
    return found | {"code": code}


class Looking:
    """A terminal that steps, looks and asks, and keeps what it is shown of each training.

    Args:
        speaker: its connection.
    """

    def __init__(self, speaker: Speaker) -> None:
        self._speaker, self.run, self._past = speaker, Run(), list[Shown]()

    def look(self) -> None:
        """Step, look and ask, and then let it go on; it is held once more on the way."""
        self._until(Hello, patience=120.0)
        self._until(Loaded, patience=300.0)
        self._until(RunStatus, _stands)
        for _ in range(3):
            self._ask(Step())
        self._questions()
        self._ask(Step(count=20))
        self._speaker.send(RunUntil())
        self._read(lambda _: False, 1.5)
        self._ask(Pause())
        self._ask(Step())
        self._questions()
        self._speaker.send(RunUntil())
        self._read(lambda _: False, 1000.0)

    def _questions(self) -> None:
        for command, answer in (
            (None, LensPointAdded),
            (ComputeGradients(), GradientsComputed),
            (ComputeImportanceBound(draws=100), ImportanceBoundComputed),
            (JudgeRun(), VerdictReached),
        ):
            if command is not None:
                self._speaker.send(command)
            elif self.run.lens_history and list(self.run.lens_history)[-1].state >= self.run.step:
                continue
            self._until(answer, patience=LOOKS)

    def _ask(self, command: Any) -> None:
        seq = self._speaker.send(command)
        self._until(RunStatus, lambda x: x.seq >= seq and _stands(x), patience=60.0)

    def _until(
        self, kind: type, matches: Callable[[Any], bool] | None = None, patience: float = LOOKS
    ) -> None:
        self._read(lambda x: isinstance(x, kind) and (matches is None or matches(x)), patience)

    def _read(self, enough: Callable[[AnyEvent], bool], patience: float) -> None:
        """Read until something has come, or for so many seconds."""
        until = time.monotonic() + patience
        while (left := until - time.monotonic()) > 0:
            self._speaker.patience(left)
            try:
                event = self._speaker.next()
            except TimeoutError:
                return
            if isinstance(event, Loaded):
                self._keep()
            if not isinstance(event, Hello):
                self.run.apply(event)
            if enough(event):
                return

    def seen(self) -> list[Shown]:
        """What has been shown of each training."""
        self._keep()
        return self._past

    def _keep(self) -> None:
        run = self.run
        if run.loaded is None or not run.step:
            return
        self._past = [one for one in self._past if one.name != run.loaded.name]
        self._past.append(
            Shown(
                run.loaded.name,
                run.settings[0],
                run.step,
                _terms(run),
                _attribution(run),
                " ".join(f"{one.level[0].upper()}:{one.code}" for one in run.findings) or "none",
                _verdict(run),
                [run.last_error.what] if run.last_error else [],
            )
        )


def _stands(status: RunStatus) -> bool:
    return status.state in ("paused", "failed")


def _terms(run: Run) -> str:
    found = {}
    for name in ("log_p", "log_q", "elbo"):
        columns = [one for one in run.history.columns if str(one) == name]
        values = run.history.values(columns[0]) if columns else np.full(run.step, np.nan)
        found[name] = np.isfinite(values).mean()
    if min(found.values()) == 1:
        return "all"
    return ", ".join(f"{name} {share:.0%}" for name, share in found.items())


def _attribution(run: Run) -> str:
    points = list(run.lens_history)
    seen = [one for one in points if one.draws]
    why = next((one.note for one in reversed(points) if not one.draws), "")
    if not points:
        return "nothing"
    parts = [f"{len(seen)} looks"] if seen else []
    note = next((one.note for one in reversed(seen) if one.note), "")
    return ", ".join(
        [*parts, *([note] if note else []), *([f"then: {why}" if seen else why] if why else [])]
    )


def _verdict(run: Run) -> str:
    if run.verdict is None:
        return "none"
    return f"{run.verdict.state}: {run.verdict.reason}".removesuffix(": ")
