"""An engine without torch, by a script: what it does well, and what may go wrong.

fake_engine.py BEHAVIOUR FD
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from typing import ClassVar

import msgspec
from fake_base import Engine
from fake_numbers import layout
from fake_scripts import Late, Minibatches, Script, Several

from tui_elbo import protocol
from tui_elbo.model.findings import Finding, Subject


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
            self.say(protocol.WarningIssued("it hangs", "fake"))
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
        self.say(protocol.WarningIssued("a warning of [bold]Pyro[/]", "UserWarning"))


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
    """Has a long history at once; its lens has looked at one state of each batch."""

    def work(self) -> None:
        self.rows(min(2000, self.target - self.step))
        self.level()

    def looked_at(self, first: int, count: int) -> Iterable[int]:
        return (first + count - 1,)


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


class FailsAtLength(Engine):
    """The first step raises, and says at length what to do."""

    what = "step 1 raised ValueError: at site 'w', invalid log_prob shape; " + "fix it so; " * 60
    trace = 'Traceback:\n  File "/far/model.py", line 12, in model\n    w = sample("w", d)\nno'

    def work(self) -> None:
        self.target = self.step
        self.fault("step", self.what, "/far/model.py:12", "the run stays at step 0", self.trace)
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
        self.say(protocol.RunStatus("failed", 0, None, 0.0, self.seq))


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
        if isinstance(command, protocol.StepBack):
            what = "step 2, run again, gave loss 1.5, and the record has 2.5"
            self.say(protocol.RunFlagged("unrepeatable", what))
            self.fault("step", what, "fake.py", "the run stays at step 5")
            self.seq = command.seq
            self.level()
        else:
            super().obey(command)


class Edited(Engine):
    """Its file has been edited."""

    def obey(self, command) -> None:
        if isinstance(command, protocol.StepBack):
            text = "fake.py changed since the run began, which keeps to what it was: R reloads it"
            self.say(protocol.RunFlagged("source", text))
        super().obey(command)


class Left(Engine):
    """A run that another terminal had before; it repeats what that one has asked for."""

    def restart(self) -> None:
        super().restart()
        self.wish()

    def wish(self) -> None:
        points = (protocol.Breakpoint("elbo > 1e6"), protocol.Breakpoint("step == 9", on=False))
        self.say(protocol.SubscriptionsChanged(points, ("phi",)))

    def more(self, command) -> None:
        super().more(command)
        if isinstance(command, protocol.SetBreakpoints):
            self.wish()


class Faulty(Engine):
    """Something is wrong with the run: an error and a note."""

    FOUND: ClassVar = (
        Finding(
            "SVI110",
            "never-moves",
            "warning",
            Subject("param", "phi"),
            '"phi" never moves: no gradient reaches it',
            "look between the parameter and the loss for what cuts the graph",
            evidence="none at 20 of 20 steps",
            why="What is not moved is not fitted.",
            step=3,
            since=2,
        ),
        Finding("SVI010", "no-data", "note", Subject("data"), "no data", "give it some"),
    )

    def restart(self) -> None:
        super().restart()
        self.aside: set[str] = set()
        self.find()

    def find(self) -> None:
        standing = tuple(one for one in self.FOUND if one.code not in self.aside)
        dismissed = tuple(one for one in self.FOUND if one.code in self.aside)
        self.say(protocol.FindingsChanged(standing, dismissed, ("SVI053: too slow",)))

    def more(self, command) -> None:
        super().more(command)
        if isinstance(command, protocol.DismissFinding):
            change = self.aside.add if command.dismissed else self.aside.discard
            change(command.code)
            self.find()


BEHAVIOURS = {
    "faulty": Faulty,
    "script": Script,
    "several": Several,
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
    "fails_at_length": FailsAtLength,
    "load_fails": LoadFails,
    "jit": Jit,
}

if __name__ == "__main__":
    BEHAVIOURS[sys.argv[1]](int(sys.argv[2])).main()
