"""From keys to commands: counts, and a toggle that goes by what was last wished for."""

from __future__ import annotations

from collections.abc import Callable

from tui_elbo.protocol import Back, Command, Level, Loaded, Pause, Restart, Run, Step

MAX_COUNT = 999_999_999


class Control:
    """What was asked of the engine and may not have been carried out yet.

    Keys are quicker than the engine, so `space` cannot go by what is on the screen: it turns round
    the last wish, and the engine corrects the wish only once it has carried out everything sent.

    Args:
        send: sends a command and returns its number.
    """

    def __init__(self, send: Callable[[Command], int]) -> None:
        self._send = send
        self.count = ""
        """The digits typed so far."""
        self.running = False
        """Whether the engine runs or is to run, once all that was sent is carried out."""
        self._seq = 0
        self._steps = 0
        self._finish_later = False

    def digit(self, digit: str) -> None:
        """Take in a digit of a count; a leading zero is none."""
        count = (self.count + digit).lstrip("0")
        if len(count) <= len(str(MAX_COUNT)):
            self.count = count

    def step(self) -> None:
        """As many steps as were typed, else one, and then stand still."""
        count, self.count = int(self.count or 1), ""
        self._finish_later = False
        self._tell(Step(count=count), running=False)

    def back(self) -> None:
        """Take the run back by as many steps as were typed, else by one."""
        count, self.count = int(self.count or 1), ""
        self._finish_later = False
        self._tell(Back(count=count), running=False)

    def run_pause(self) -> None:
        """Run, or stand still."""
        self.count = ""
        if self.running:
            self._finish_later = False
            self._tell(Pause(), running=False)
        else:
            self._tell(Run(), running=True)

    def finish(self) -> None:
        """Run to the scenario's last step; kept until it is known which that is."""
        self.count = ""
        if self._steps:
            self._tell(Run(until=self._steps), running=True)
        else:
            self._finish_later = self.running = True

    def restart(self) -> None:
        """Begin anew in the same engine."""
        self.count = ""
        self._finish_later = False
        self._tell(Restart(), running=False)

    def loaded(self, loaded: Loaded) -> None:
        """The scenario is known now."""
        self._steps = loaded.steps
        if self._finish_later:
            self._finish_later = False
            self.finish()

    def level(self, level: Level) -> None:
        """How the engine stands, heeded if it has carried out everything."""
        if level.seq >= self._seq and not self._finish_later:
            self.running = level.state == "running"

    def sent(self, seq: int) -> None:
        """Something that changes no wish was sent from elsewhere, as command `seq`."""
        self._seq = seq

    def interrupted(self, seq: int) -> None:
        """A pause was sent from elsewhere, as command `seq`."""
        self.count, self.running, self._seq = "", False, seq
        self._finish_later = False

    def stopped(self) -> None:
        """The engine is gone, and every wish with it."""
        self.count, self.running, self._finish_later = "", False, False

    def _tell(self, command: Command, *, running: bool) -> None:
        self._seq = self._send(command)
        self.running = running
