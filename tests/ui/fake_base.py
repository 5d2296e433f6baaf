"""An engine without torch that behaves well: speaks the protocol over the descriptor it is given.

Its numbers are a pure function of the step, so the screen they make can be compared.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np
from fake_numbers import inspected, layout, noise_table, numbers, rate_scan, reading

from tui_elbo import protocol
from tui_elbo.model.attribution import AttributionPath, LensPoint, PathShares
from tui_elbo.model.bound import ImportanceBound
from tui_elbo.model.estimate import Moments

STEPS = 200


class Engine:
    """The scripted engine; the base class behaves well."""

    title = "A fake of the forum question"
    notes = "Press `n`, then `space`.\n\n- *log p* rises\n- and **why**\n"
    name = "fake"
    watched = False
    allowed = protocol.Capabilities()
    adam = "Adam"
    reference: ClassVar = {"log_evidence": -4.5, "elbo": -4.5}

    def __init__(self, fd: int) -> None:
        self.line = socket.socket(fileno=fd)
        self.decoder = protocol.Decoder(protocol.AnyCommand)
        self.step = self.seq = 0
        self.target: int | None = 0
        self.layout = layout()
        self.points: list[str] = []
        self.left, self.ends = 0, {}
        self.told = False
        self.inspected = ""
        self.path = AttributionPath()

    def say(self, event) -> None:
        self.line.sendall(protocol.frame(event))

    def level(self) -> None:
        running = self.target is None or self.target > self.step
        target = self.target if running else None
        state = "running" if running else "paused"
        self.say(protocol.RunStatus(state, self.step, target, 830.0 if running else 0.0, self.seq))

    def fault(self, kind: str, what: str, where: str, hint: str, trace: str = "") -> None:
        self.say(protocol.ErrorReported(what, where, hint, trace, self.step, kind))

    def hello(self) -> None:
        self.say(protocol.Hello(protocol.VERSION, os.getpid()))
        self.say(protocol.EngineBusy("importing torch"))

    def restart(self) -> None:
        self.step, self.target, self.told = 0, 0, False
        self.ends.clear()
        self.path = AttributionPath()
        about = (self.name, "fake.py", self.title, self.notes, 0, STEPS, "Trace_ELBO", self.adam)
        about = (*about, self.reference)
        self.say(protocol.Loaded(*about, watched=self.watched, capabilities=self.allowed))

    def load(self, command) -> None:
        if getattr(command, "draws", None) == 0:
            why = "there is no lens: the run was started with --draws 0"
            self.allowed = protocol.Capabilities(lens=why)
        self.restart()

    def rows(self, count: int) -> None:
        first = self.step + 1
        values = np.array([numbers(self.layout, first + i) for i in range(count)]).T
        if not self.told:
            self.say(protocol.LayoutAdded(self.layout))
            self.told = True
        self.say(protocol.StepsRecorded(self.layout.id, first, values))
        for state in self.looked_at(first, count):
            self.look(state)
        self.step += count

    def looked_at(self, first: int, count: int) -> Iterable[int]:
        """The states of which a batch of steps brings lens points."""
        return range(first - (first == 1), first + count)

    def look(self, state: int) -> None:
        point = self.extend(state)
        mean = np.array([1 - 0.8 * np.exp(-state / 40)])
        seen = Moments(mean, 0.5 * mean, 0.003 * mean, 0.002 * mean)
        posterior = {site.name: seen for site in self.layout.sites[:-1]}
        self.say(protocol.LensPointAdded(replace(point, latents=1, posterior=posterior)))

    def extend(self, state: int) -> LensPoint:
        now, base = reading(self.layout, state), self.path.base
        moved = None if base is None else PathShares.of_one("phi", base, now)
        return self.path.extend(state, now, ("phi",), moved=moved)

    def back(self, step: int) -> None:
        left = 0
        if step < self.step:
            left = self.left = self.left + 1
            self.ends[left] = step, self.step
        self.step, self.target = step, step
        self.path = AttributionPath()
        for state in range(step + 1):
            self.extend(state)
        self.say(protocol.Rewound(self.step, left))
        self.list_branches()

    def switch(self, number: int) -> None:
        since, end = self.ends.pop(number)
        left = self.left = self.left + 1
        self.ends[left] = since, self.step
        self.step = self.target = end
        self.say(protocol.BranchSwitched(number, self.step, left))
        self.list_branches()

    def list_branches(self) -> None:
        self.ends = {n: (min(since, self.step), end) for n, (since, end) in self.ends.items()}
        listed = [protocol.BranchInfo(n, *steps) for n, steps in self.ends.items()]
        self.say(protocol.BranchesListed(tuple(listed)))

    def weigh(self) -> None:
        bound = ImportanceBound(2000, -5.0, 0.02, 0.9, -4.6, 0.03, 0.45, 0.29, 0.61, 0.697)
        self.say(protocol.ImportanceBoundComputed(self.step, bound))

    def pull(self, since: int) -> None:
        names = [param.name for param in self.layout.params]
        rows = [(0.5 / (i + 1), 1.25, 0.75, 0.5, np.inf, 0.75, 0.25) for i in range(len(names))]
        reasons = ("",) * len(names)
        self.say(
            protocol.GradientsComputed(self.step, since, tuple(names), reasons, np.array(rows))
        )

    def obey(self, command) -> None:
        match command:
            case protocol.Load() | protocol.Restart():
                self.load(command)
            case protocol.Step():
                now = self.step if self.target is None else max(self.step, self.target)
                self.target = now + command.count
            case protocol.RunUntil():
                self.target = command.until
                if command.condition is not None:
                    self.run_until(command.condition)
            case protocol.Tune():
                self.tune(command.tuning)
            case protocol.Pause():
                self.target = self.step
            case protocol.RewindTo():
                self.back(command.step)
            case protocol.StepBack():
                self.back(max(0, self.step - command.count))
            case protocol.InspectParam():
                self.inspected = command.name
            case protocol.ComputeImportanceBound():
                self.weigh()
            case protocol.ComputeGradients():
                self.pull(command.since)
            case _:
                self.more(command)
        self.seq = command.seq
        self.level()
        self.inspect()

    def more(self, command) -> None:
        match command:
            case protocol.SetBreakpoints():
                self.points = [
                    point.text for point in command.points if point.on and not point.held
                ]
            case protocol.StepInto():
                self.rows(1)
                self.target = self.step
                stage = protocol.Stage(
                    "guide",
                    "[red]z",
                    ("Normal(loc 0.5)", "log q = -1"),
                    12,
                    11,
                    ("def guide():", "    z = \x1b[2J", ""),
                )
                loss = protocol.Stage("loss", "loss", ("loss 3.5 nats",), 0, 0, ())
                self.say(protocol.SteppedInto(self.step, (stage, loss)))
            case protocol.Save():
                end = self.ends[command.branch][1] if command.branch else self.step
                self.say(protocol.RunSaved(command.path, end, command.branch))
            case protocol.UndoStep():
                self.step = max(0, self.step - 1)
                self.target = self.step
                self.say(protocol.Rewound(self.step))
                self.list_branches()
            case protocol.SwitchBranch():
                self.switch(command.number)
            case protocol.RemoveBranch():
                del self.ends[command.number]
                self.list_branches()
            case protocol.MeasureNoise():
                self.say(protocol.NoiseMeasured(noise_table(self.step)))
            case protocol.ScanRates():
                self.say(protocol.RatesScanned(rate_scan(self.step)))
            case protocol.DrawPosterior():
                values = np.arange(command.count * 2.0).reshape(command.count, 2)
                sites = (protocol.SiteDraws("z", values),)
                self.say(protocol.PosteriorDrawn(self.step, command.count, sites))

    def run_until(self, condition: str) -> None:
        """Step after step, and stop: on the seventh if it is asked for, else on the next."""
        self.target = max(self.step + 1, 7 if "7" in condition else 0)
        while self.step < self.target:
            self.rows(1)
        self.say(protocol.ConditionMet(self.step, condition))

    def tune(self, tuning) -> None:
        if tuning.particles == 13:
            self.fault("refused", "13 particles do not fit", "", "give another number")
        else:
            self.say(protocol.Tuned(self.step, str(tuning), "Trace_ELBO", f"Adam, {tuning}"))

    def inspect(self) -> None:
        if self.inspected and self.step:
            self.say(inspected(self.inspected, self.step))

    def work(self) -> None:
        """What is done between two looks at the queue."""
        room = 10 if self.target is None else min(10, self.target - self.step)
        if self.points and self.step < 7:
            self.rows(7 - self.step)
            self.target = self.step
            self.say(protocol.ConditionMet(7, f"{self.points[0]}, said the engine"))
        else:
            self.rows(room)
        self.level()
        self.inspect()

    def main(self) -> None:
        self.hello()
        while True:
            busy = self.target is None or self.target > self.step
            ready, _, _ = select.select([self.line], [], [], 0.01 if busy else None)
            if ready:
                data = self.line.recv(1 << 16)
                if not data:
                    return
                for command in self.decoder.feed(data):
                    self.obey(command)
            elif busy:
                self.work()
