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
def told() -> Told:
    return Told()


def test_a_count_goes_to_the_next_step_alone(told):
    for digit in "050":
        told.commands.digit(digit)
    told.commands.step()
    told.commands.step()
    assert [command.count for command in told.sent] == [50, 1]


def test_a_count_has_a_bound(told):
    for _ in range(30):
        told.commands.digit("9")
    assert told.commands.count == "9" * 9


def test_rewinding_takes_the_count_and_stands_still(told):
    told.commands.run_pause()
    for digit in "12":
        told.commands.digit(digit)
    told.commands.back()
    told.commands.back()
    assert told.sent[1:] == [StepBack(seq=2, count=12), StepBack(seq=3, count=1)]
    assert not told.commands.running


def test_toggling_goes_by_the_last_request(told):
    for _ in range(3):
        told.commands.run_pause()
    assert told.kinds() == [RunUntil, Pause, RunUntil]


def test_what_the_engine_reports_of_the_past_is_ignored(told):
    told.commands.run_pause()
    told.level("paused", 0)
    assert told.commands.running
    told.level("paused", 1)
    assert not told.commands.running


def test_steps_leave_the_engine_standing(told):
    told.commands.step()
    told.commands.run_pause()
    assert told.kinds() == [Step, RunUntil]


def test_space_pauses_many_steps_under_way(told):
    told.commands.digit("9")
    told.commands.step()
    told.level("running", 1)
    told.commands.run_pause()
    assert told.kinds() == [Step, Pause]


def test_finish_waits_until_the_last_step_is_known(told):
    told.commands.finish()
    assert not told.sent
    assert told.commands.running
    told.commands.loaded(LOADED)
    assert told.sent[0].until == 200
    told.commands.loaded(LOADED)
    assert len(told.sent) == 1


@pytest.mark.parametrize("other", ["step", "run_pause", "restart"])
def test_a_later_key_replaces_a_waiting_finish(told, other):
    told.commands.finish()
    getattr(told.commands, other)()
    told.commands.loaded(LOADED)
    assert told.kinds() == [{"step": Step, "run_pause": Pause, "restart": Restart}[other]]


def test_an_interrupt_and_an_end_forget_every_request(told):
    told.commands.run_pause()
    told.commands.interrupted(2)
    assert not told.commands.running
    told.commands.run_pause()
    told.commands.stopped()
    assert not told.commands.running
