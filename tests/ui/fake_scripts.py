"""Fake engines that stand for a script of a person's own."""

from __future__ import annotations

from fake_base import Engine

from tui_elbo import protocol
from tui_elbo.model.attribution import no_samples


class Script(Engine):
    """Not an engine but a script's own loop."""

    watched = True
    allowed = protocol.Capabilities(
        *(f"a script's own loop cannot {what}" for what in ("rewind", "tune", "be stepped into")),
        *(f"a script's own loop cannot be {what}" for what in ("finished", "restarted")),
        *(f"a script's own loop cannot be {what}" for what in ("reloaded", "saved")),
    )

    def hello(self) -> None:
        super().hello()
        self.say(protocol.RunIdAssigned("fake"))


class Minibatches(Script):
    """A script of which the lens sees nothing."""

    def look(self, state: int) -> None:
        if not state:
            point = self.path.extend(0, no_samples(), (), note="they are [red]minibatches")
            self.say(protocol.LensPointAdded(point))


class Several(Script):
    """A script with three trainings, the first of which is over."""

    shown, chosen = 2, False

    def restart(self) -> None:
        self.name = f"fake.py #{self.shown}"
        super().restart()
        infos = [
            protocol.TrainingInfo(
                i, f"guide_{i}", "Trace_ELBO", "Adam", 7 * i, 1.5 * i, i == 1, (3.0, 1.0)
            )
            for i in (1, 2, 3)
        ]
        self.say(protocol.TrainingsListed(tuple(infos), self.shown, self.chosen))

    def more(self, command) -> None:
        super().more(command)
        if isinstance(command, protocol.ShowTraining):
            self.shown, self.chosen = command.number or 2, bool(command.number)
            self.restart()


class Late(Script):
    """A script that is looked at from its third step on."""

    def look(self, state: int) -> None:
        if state >= 3:
            super().look(state)
