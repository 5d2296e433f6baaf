"""From keys to commands."""

from __future__ import annotations

import msgspec
import pytest

from tui_elbo.client.commands import RunCommands
from tui_elbo.protocol import Loaded, Pause, Restart, RunStatus, RunUntil, Step, StepBack

LOADED = Loaded("n", "p", "t", "", 0, 200, "", "", {})


class Told:
    """Keeps what is sent, as the engine would see it."""

    def __init__(self) -> None:
        self.sent = []
        self.commands = RunCommands(self.send)

    def send(self, command):
        self.sent.append(msgspec.structs.replace(command, seq=len(self.sent) + 1))
        return len(self.sent)

    def level(self, state: str, seq: int) -> None:
        self.commands.level(RunStatus(state, 0, None, 0.0, seq))

    def kinds(self):
        return [type(command) for command in self.sent]


@pytest.fixture
def sender() -> Told:
    return Told()


def test_a_count_goes_to_the_next_step_alone(sender):
    for digit in "050":
        sender.commands.digit(digit)
    sender.commands.step()
    sender.commands.step()
    assert [command.count for command in sender.sent] == [50, 1]


def test_a_count_has_a_bound(sender):
    for _ in range(30):
        sender.commands.digit("9")
    assert sender.commands.count == "9" * 9


def test_rewinding_takes_the_count_and_stands_still(sender):
    sender.commands.run_pause()
    for digit in "12":
        sender.commands.digit(digit)
    sender.commands.back()
    sender.commands.back()
    assert sender.sent[1:] == [StepBack(seq=2, count=12), StepBack(seq=3, count=1)]
    assert not sender.commands.running


def test_toggling_goes_by_the_last_request(sender):
    for _ in range(3):
        sender.commands.run_pause()
    assert sender.kinds() == [RunUntil, Pause, RunUntil]


def test_what_the_engine_reports_of_the_past_is_ignored(sender):
    sender.commands.run_pause()
    sender.level("paused", 0)
    assert sender.commands.running
    sender.level("paused", 1)
    assert not sender.commands.running


def test_steps_leave_the_engine_standing(sender):
    sender.commands.step()
    sender.commands.run_pause()
    assert sender.kinds() == [Step, RunUntil]


def test_space_pauses_many_steps_under_way(sender):
    sender.commands.digit("9")
    sender.commands.step()
    sender.level("running", 1)
    sender.commands.run_pause()
    assert sender.kinds() == [Step, Pause]


def test_finish_waits_until_the_last_step_is_known(sender):
    sender.commands.finish()
    assert not sender.sent
    assert sender.commands.running
    sender.commands.loaded(LOADED)
    assert sender.sent[0].until == 200
    sender.commands.loaded(LOADED)
    assert len(sender.sent) == 1


@pytest.mark.parametrize("other", ["step", "run_pause", "restart"])
def test_a_later_key_replaces_a_waiting_finish(sender, other):
    sender.commands.finish()
    getattr(sender.commands, other)()
    sender.commands.loaded(LOADED)
    assert sender.kinds() == [{"step": Step, "run_pause": Pause, "restart": Restart}[other]]


def test_an_interrupt_and_an_end_forget_every_request(sender):
    sender.commands.run_pause()
    sender.commands.interrupted(2)
    assert not sender.commands.running
    sender.commands.run_pause()
    sender.commands.stopped()
    assert not sender.commands.running
