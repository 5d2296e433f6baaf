"""An engine without torch: speaks the protocol over the descriptor it is given, by a script.

    fake_engine.py BEHAVIOUR FD

Its numbers are a pure function of the step, so the screen they make can be compared.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from typing import ClassVar

import msgspec
import numpy as np
from fake_numbers import inspected, layout, numbers, reading

from tui_elbo import protocol
from tui_elbo.accounts import Path
from tui_elbo.bound import Bound
from tui_elbo.readings import nothing
from tui_elbo.records import Batch
from tui_elbo.sightings import Sighting

STEPS = 200


class Engine:
    """The scripted engine; the base class behaves well."""

    title = "A fake of the forum question"
    notes = "Press `n`, then `space`.\n\n- *log p* rises\n- and **why**\n"
    name = "fake"
    watched = False
    adam = "Adam"
    reference: ClassVar = {"log_evidence": -4.5, "elbo": -4.5}

    def __init__(self, fd: int) -> None:
        self.line = socket.socket(fileno=fd)
        self.decoder = protocol.Decoder(protocol.AnyCommand)
        self.step = self.seq = 0
        self.target: int | None = 0
        self.layout = layout()
        self.points: list[str] = []
        self.kept = 0
        self.told = False
        self.inspected = ""
        self.path = Path()

    def say(self, event) -> None:
        self.line.sendall(protocol.frame(event))

    def level(self) -> None:
        running = self.target is None or self.target > self.step
        target = self.target if running else None
        state = "running" if running else "paused"
        self.say(protocol.Level(state, self.step, target, 830.0 if running else 0.0, self.seq))

    def fault(self, kind: str, what: str, where: str, todo: str, trace: str = "") -> None:
        self.say(protocol.Fault(what, where, todo, trace, self.step, kind))

    def hello(self) -> None:
        self.say(protocol.Hello(protocol.VERSION, os.getpid()))
        self.say(protocol.Phase("importing torch"))

    def restart(self) -> None:
        self.step, self.target, self.told = 0, 0, False
        self.path = Path()
        about = (self.name, "fake.py", self.title, self.notes, 0, STEPS, "Trace_ELBO", self.adam)
        self.say(protocol.Loaded(*about, self.reference, watched=self.watched))

    def rows(self, count: int) -> None:
        first = self.step + 1
        values = np.array([numbers(self.layout, first + i) for i in range(count)]).T
        if not self.told:
            self.say(protocol.NewLayout(self.layout))
            self.told = True
        self.say(protocol.rows(Batch(self.layout, first, values)))
        for state in range(first - (first == 1), first + count):
            self.look(state)
        self.step += count

    def look(self, state: int) -> None:
        moved = ("phi",) if state else ()
        point = self.path.extend(state, reading(self.layout, state), ("phi",), moved=moved)
        mean = np.array([1 - 0.8 * np.exp(-state / 40)])
        posterior = {site.name: (mean, 0.5 * mean) for site in self.layout.sites[:-1]}
        self.say(protocol.looked(Sighting(point, 1, 0, posterior)))

    def back(self, step: int) -> None:
        self.kept, self.step, self.target = self.step, step, step
        self.path = Path()
        for state in range(step + 1):
            moved = ("phi",) if state else ()
            self.path.extend(state, reading(self.layout, state), ("phi",), moved=moved)
        self.say(protocol.Rewound(self.step, self.kept))

    def weigh(self) -> None:
        bound = Bound(2000, -5.0, 0.02, 0.9, -4.6, 0.03, 0.45, 0.29, 0.61, 0.697)
        self.say(protocol.Weighed(self.step, bound))

    def pull(self, since: int) -> None:
        names = [param.name for param in self.layout.params]
        rows = [
            (n, "", (0.5 / (i + 1), 1.25, 0.75, 0.5, np.inf, 0.75, 0.25))
            for i, n in enumerate(names)
        ]
        self.say(protocol.pulled(self.step, since, rows))

    def obey(self, command) -> None:
        match command:
            case protocol.Load() | protocol.Restart():
                self.restart()
            case protocol.Step():
                now = self.step if self.target is None else max(self.step, self.target)
                self.target = now + command.count
            case protocol.Run():
                self.target = command.until
                if command.condition is not None:
                    self.run_until(command.condition)
            case protocol.Tune():
                self.tune(command.tuning)
            case protocol.Pause():
                self.target = self.step
            case protocol.GoTo():
                self.back(command.step)
            case protocol.Back():
                self.back(max(0, self.step - command.count))
            case protocol.Inspect():
                self.inspected = command.name
            case protocol.Weigh():
                self.weigh()
            case protocol.Pull():
                self.pull(command.since)
            case _:
                self.more(command)
        self.seq = command.seq
        self.level()
        self.inspect()

    def more(self, command) -> None:
        match command:
            case protocol.Break():
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
                self.say(protocol.Stored(command.path, self.step))
            case protocol.Undo():
                self.step -= 1
                self.target = self.step
                self.say(protocol.Rewound(self.step, self.kept, leaves=False))
            case protocol.Swap():
                self.step, self.kept = self.kept, self.step
                self.target = self.step
                self.say(protocol.Swapped(self.step, self.kept))
            case protocol.Draw():
                data = np.arange(command.count * 2, dtype="<f8").tobytes()
                sites = (protocol.SiteDraws("z", (2,), data),)
                self.say(protocol.Drawn(self.step, command.count, sites))

    def run_until(self, condition: str) -> None:
        """Step after step, and stop: on the seventh if it is asked for, else on the next."""
        self.target = max(self.step + 1, 7 if "7" in condition else 0)
        while self.step < self.target:
            self.rows(1)
        self.say(protocol.Met(self.step, condition))

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
            self.say(protocol.Met(7, f"{self.points[0]}, said the engine"))
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


class Hangs(Engine):
    """The model hangs in step 3, and lets go when interrupted."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.hangs = False
        signal.signal(signal.SIGINT, self.interrupted)

    def interrupted(self, _number, _frame) -> None:
        if self.hangs:
            raise KeyboardInterrupt

    def work(self) -> None:
        if self.step < 2:
            self.rows(1)
            return
        try:
            self.hangs = True
            self.say(protocol.Remark("it hangs", "fake"))
            while True:
                signal.pause()
        except KeyboardInterrupt:
            self.hangs = False
            self.target = self.step
            trace = 'File "model.py", line 3, in model\n    while True: pass\nKeyboardInterrupt'
            self.fault("interrupted", "interrupted", "model.py:3", "look where it hangs", trace)
            self.level()


class Stubborn(Hangs):
    """…or not."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Dies(Engine):
    """Killed in step 3."""

    def work(self) -> None:
        if self.step >= 2:
            os.kill(os.getpid(), signal.SIGKILL)
        self.rows(1)


class Prints(Engine):
    """Prints 10 MB when it steps, escape sequences included."""

    def rows(self, count: int) -> None:
        line = "\x1b[31mred\x1b[0m " + "x" * 90 + "\n"
        os.write(1, b"begin\n")
        for _ in range(1000):
            os.write(1, (line * 100).encode())
        os.write(1, b"\x1b]0;owned\x07the end\n")
        super().rows(count)
        self.say(protocol.Remark("a warning of [bold]Pyro[/]", "UserWarning"))


class BadFrame(Engine):
    """Sends something that does not decode."""

    def work(self) -> None:
        self.line.sendall(b"\x03\x00\x00\x00\xc1\xc1\xc1")


class WrongVersion(Engine):
    """Speaks another version."""

    def hello(self) -> None:
        self.say(protocol.Hello(protocol.VERSION + 1, os.getpid()))


class Names(Engine):
    """Names as nobody should give them."""

    name = "[red]name\x1b[2J"
    title = "[bold]title[/bold]\x1b[2J"

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        names = (
            "[red]a",
            "b\nc",
            "d\x1b[31me",
            "AutoNormal.scales.theta",
            "漢字の名前",
            "f\u202eg",
        )
        self.layout = layout(names, ("[red]z", "new\nline\x1b]0;t\x07"))


class Vectors(Engine):
    """A small vector, with an answer that it should come to, and a tensor that is summed up."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.layout = layout(("locs", "weights"), shapes=((3,), (50, 40)))

    reference: ClassVar = {"params": {"locs": [0.9, 0.5, 0.1]}}


class Plates(Engine):
    """A site within plates, scaled and masked."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        inner = {"batch_shape": (100, 10), "plates": ("outer", "data"), "scale": 50.0, "masked": 7}
        sites = tuple(
            msgspec.structs.replace(site, **inner) if site.observed else site
            for site in self.layout.sites
        )
        self.layout = msgspec.structs.replace(self.layout, sites=sites)


class Long(Engine):
    """Has a long history at once."""

    def work(self) -> None:
        self.rows(min(2000, self.target - self.step))
        self.level()


class Fails(Engine):
    """Step 7 raises."""

    def work(self) -> None:
        if self.step < 6:
            self.rows(1)
        else:
            self.target = self.step
            trace = 'Traceback:\n  File "model.py", line 12\nValueError: bad \x1b[31m[red]'
            what = "step 7 failed: ValueError: bad \x1b[31m[red]"
            self.fault("step", what, "model.py:12", "correct the file and press R", trace)
        self.level()


class LoadFails(Engine):
    """The file does not parse."""

    def restart(self) -> None:
        self.fault("load", "the file does not parse", "model.py:3", "correct it and press R")

    def obey(self, command) -> None:
        self.seq = command.seq
        if isinstance(command, protocol.Load):
            self.restart()
        self.level()

    def level(self) -> None:
        self.say(protocol.Level("failed", 0, None, 0.0, self.seq))


class Jit(Engine):
    """An estimator that tells its loss alone."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.layout = layout(note="JitTrace_ELBO is compiled: it tells its loss alone")


class LeavesAChild(Engine):
    """Has a child that holds the socket and the pipe."""

    def hello(self) -> None:
        if os.fork() == 0:
            signal.pause()
        super().hello()


class Exits(Engine):
    """A model that ends the process."""

    def restart(self) -> None:
        print("last words", flush=True)
        sys.exit(3)


class Silent(Engine):
    """Imports for ever, and cannot be interrupted."""

    def hello(self) -> None:
        super().hello()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            signal.pause()


class Rated(Engine):
    """Tells the learning rate of its optimiser."""

    adam = "Adam, lr 0.02"


class Strays(Engine):
    """Steps that are run again do not meet the record."""

    def obey(self, command) -> None:
        if isinstance(command, protocol.Back):
            what = "step 2, run again, gave loss 1.5, and the record has 2.5"
            self.say(protocol.Caution("unrepeatable", what))
            self.fault("step", what, "fake.py", "the run stays at step 5")
            self.seq = command.seq
            self.level()
        else:
            super().obey(command)


class Edited(Engine):
    """Its file has been edited."""

    def obey(self, command) -> None:
        if isinstance(command, protocol.Back):
            text = "fake.py changed since the run began, which keeps to what it was: R reloads it"
            self.say(protocol.Caution("source", text))
        super().obey(command)


class Left(Engine):
    """A run that another terminal had before; it repeats what that one has asked for."""

    def restart(self) -> None:
        super().restart()
        self.wish()

    def wish(self) -> None:
        points = (protocol.Breakpoint("elbo > 1e6"), protocol.Breakpoint("step == 9", on=False))
        self.say(protocol.Wished(points, ("phi",)))

    def more(self, command) -> None:
        super().more(command)
        if isinstance(command, protocol.Break):
            self.wish()


class Script(Engine):
    """Not an engine but a script's own loop."""

    watched = True

    def hello(self) -> None:
        super().hello()
        self.say(protocol.Named("fake"))


class Minibatches(Script):
    """A script of which the lens sees nothing."""

    def look(self, state: int) -> None:
        if not state:
            point = self.path.extend(0, nothing(), (), note="they are [red]minibatches")
            self.say(protocol.looked(Sighting(point)))


class Late(Script):
    """A script that is looked at from its third step on."""

    def look(self, state: int) -> None:
        if state >= 3:
            super().look(state)


BEHAVIOURS = {
    "script": Script,
    "left": Left,
    "minibatches": Minibatches,
    "late": Late,
    "rated": Rated,
    "strays": Strays,
    "edited": Edited,
    "leaves_a_child": LeavesAChild,
    "exits": Exits,
    "silent": Silent,
    "normal": Engine,
    "hangs": Hangs,
    "stubborn": Stubborn,
    "dies": Dies,
    "prints": Prints,
    "bad_frame": BadFrame,
    "wrong_version": WrongVersion,
    "names": Names,
    "vectors": Vectors,
    "plates": Plates,
    "long": Long,
    "fails": Fails,
    "load_fails": LoadFails,
    "jit": Jit,
}

if __name__ == "__main__":
    BEHAVIOURS[sys.argv[1]](int(sys.argv[2])).main()
