"""An engine whose model hangs, prints, forks or closes things; and one whose terminal goes away."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.client import Client, ClosedError, engine
from tests.engine.sources import SMALL, small, write
from tui_elbo.protocol import (
    EngineBusy,
    Load,
    Loaded,
    Pause,
    Restart,
    RunStatus,
    RunUntil,
    Step,
    WarningIssued,
)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with engine() as client:
        yield client


HANGS = """
import warnings
warnings.simplefilter("always")
hang = True
def forever():
    warnings.warn("hanging")  # tells the terminal, which then knows that the loop has begun
    while hang:
        pass
"""


def hanging(at: int) -> str:
    """Hangs on this step."""
    batch = f"def batch(step):\n    if step == {at}: forever()\n    return ()\n"
    return small(tail=HANGS + batch)


def hung(client: Client) -> None:
    client.until(WarningIssued, lambda remark: remark.text.startswith("hanging"))


def test_ctrl_c_shows_where_a_step_hangs(client: Client, tmp_path: Path) -> None:
    path = write(tmp_path, SMALL)
    client.load(path)
    client.ask(Step(count=12))
    plain = [record.loss for record in client.records()]
    write(tmp_path, hanging(7))
    client.load(path)
    asked = client.send(RunUntil(until=20))
    hung(client)
    client.interrupt()
    level = client.still(asked)
    (fault,) = client.faults()
    assert (fault.kind, fault.step, level.step) == ("interrupted", 6, 6)
    assert "step 7 was interrupted" in fault.what
    assert fault.where.startswith(f"{path}:")
    assert "in forever\n" in fault.traceback
    assert fault.traceback.splitlines()[-1] == "KeyboardInterrupt"
    assert "tui_elbo" not in fault.traceback.replace(str(path), "")
    asked = client.send(Step())
    hung(client)
    client.interrupt()
    assert client.still(asked).step == 6
    path.write_text(SMALL)
    client.ask(Restart())
    assert client.ask(Step(count=12)).step == 12
    assert [record.loss for record in client.records()] == plain


def test_ctrl_c_shows_where_a_file_hangs_while_it_is_loaded(client: Client, tmp_path: Path) -> None:
    path = write(tmp_path, small(tail=HANGS + "\nforever()\n"))
    asked = client.send(Load(target=str(path)))
    hung(client)
    client.interrupt()
    assert client.still(asked).state == "failed"
    (fault,) = client.faults()
    assert (fault.kind, fault.what) == ("interrupted", "loading was interrupted")
    assert fault.where.startswith(f"{path}:")
    assert "in forever" in fault.traceback
    path.write_text(SMALL)
    assert client.ask(Restart()).state == "paused"
    assert client.ask(Step()).step == 1


@pytest.mark.slow
def test_ctrl_c_finds_the_file_after_a_change_of_folder(tmp_path: Path) -> None:
    """The scenario is named relative to a folder that the model leaves."""
    write(tmp_path, hanging(2).replace(HANGS, HANGS + "import os\nos.chdir('/')\n"))
    with engine(tmp_path) as client:
        client.load("scenario.py")
        asked = client.send(Step(count=5))
        hung(client)
        client.interrupt()
        assert client.still(asked).step == 1
        assert client.faults()[0].kind == "interrupted"
        assert client.faults()[0].where.startswith(str(tmp_path / "scenario.py"))
        write(tmp_path, SMALL)
        assert client.ask(Restart()).step == 0
        assert client.ask(Step(count=2)).step == 2


def test_ctrl_c_between_two_commands_does_nothing(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, SMALL))
    for _ in range(5):
        client.interrupt()
        client.ask(Pause())
    assert client.ask(Step(count=3)).step == 3
    assert client.faults() == []


def test_many_interrupts_leave_the_run_as_it_was(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, SMALL))
    for _ in range(15):
        # However late the interrupt comes, it meets a run that goes on.
        asked = client.send(RunUntil(until=1_000_000))
        client.until(RunStatus, lambda x, asked=asked: x.seq == asked and x.state == "running")  # type: ignore[misc]
        client.interrupt()
        client.still(asked)
        step = client.ask(Step(count=3)).step
    interrupted = [record.loss for record in client.records()]
    assert len(interrupted) == step
    client.ask(Restart())
    client.ask(RunUntil(until=step))
    assert [record.loss for record in client.records()] == interrupted


def test_ctrl_c_while_messages_are_sent_cuts_none(client: Client, tmp_path: Path) -> None:
    """The model tells more than the socket holds, and the terminal does not read."""
    noise = "import warnings\nimport os, signal\ndef batch(step):\n"
    noise += "    for i in range(400):\n        warnings.warn(f'{i}' + 'w' * 9000)\n"
    noise += "    while True: pass\n"  # What is sent is not waited for.
    client.load(write(tmp_path, small(tail=noise)))
    client.send(Step())
    client.until(WarningIssued)
    for _ in range(20):
        client.interrupt()
    client.ask(Pause())
    assert {fault.kind for fault in client.faults()} == {"interrupted"}
    for event in client.seen:
        if isinstance(event, WarningIssued):
            number = event.text.partition("w")[0]
            assert event.text.startswith(number + "w" * 9000)


THREADS = """
import threading, warnings
warnings.simplefilter("always")
def shout(name):
    for i in range(300): warnings.warn(f"{name}-{i}-" + "w" * 3000)
shouting = [threading.Thread(target=shout, args=(name,)) for name in "abc"]
def batch(step):
    if step == 2:  # What torch imports at the first step silences every thread's warnings.
        for thread in shouting: thread.start()
    if step == 300:
        for thread in shouting: thread.join()
    return ()
"""


def test_threads_that_warn_do_not_mix_the_messages(client: Client, tmp_path: Path) -> None:
    client.load(write(tmp_path, small(tail=THREADS)))
    client.ask(RunUntil(until=300))
    texts = [event.text for event in client.seen if isinstance(event, WarningIssued)]
    warned = [text for text in texts if text[:2] in ("a-", "b-", "c-")]
    assert len(warned) > 400
    assert {text.partition("w")[2][:2999] for text in warned} == {"w" * 2999}
    assert len(client.records()) == 300


FORKS = """
import os, warnings
def batch(step):
    child = os.fork()
    if child == 0:
        {act}
        os._exit(0)
    os.waitpid(child, 0)
    return ()
"""


@pytest.mark.parametrize("act", ["warnings.warn('from the child')", "raise ValueError('child')"])
def test_a_forked_child_says_nothing_on_our_line(client: Client, tmp_path: Path, act: str) -> None:
    client.load(write(tmp_path, small(tail=FORKS.format(act=act))))
    assert client.ask(Step(count=2)).step == 2
    assert client.faults() == []
    assert not any(isinstance(event, WarningIssued) for event in client.seen)


LEAVES = {
    "pass": 0,
    "sys.exit()": 0,
    "sys.exit(7)": 7,
    "sys.exit(-1)": 255,
    "sys.exit('last words')": 1,
    "raise ValueError('last words')": 1,
    "raise KeyboardInterrupt": -signal.SIGINT,
    "raise Unshown": 1,
}
LEFT = """import os, sys
main = os.getpid()
class Unshown(Exception):
    def __str__(self): raise RuntimeError
def left(child):
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(f'child left with {{status}} of {{os.getpid()}}')
{load}"""
FORK = "child = os.fork() if os.getpid() == main else -1\n"
FORK += "if child == 0: {act}\nif child > 0: left(child)"


@pytest.mark.parametrize("act", LEAVES)
def test_a_child_that_comes_back_to_us_ends_as_plain_python_would(
    client: Client, tmp_path: Path, act: str
) -> None:
    """Whether the model, the guide or the file itself has forked; none of them takes a step."""
    before = len(client.output())
    code = FORK.format(act=act)
    left = LEFT.format(load=code)
    text = small(model=code, guide=code)
    client.load(write(tmp_path, left + "\n" + text), draws=0)
    assert client.ask(Step(count=2)).step == 2
    client.ask(Pause())
    assert client.faults() == []
    lines = client.output()[before:].decode().splitlines()
    told = [line for line in lines if line.startswith("child left")]
    assert told == [f"child left with {LEAVES[act]} of {client.process.pid}"] * 5
    if "last words" in act:
        assert sum("last words" in line for line in lines) >= 5


def test_what_cannot_be_shown_is_survived(client: Client, tmp_path: Path) -> None:
    """An error, an exit code and a reference that raise when they are to be shown."""
    head = "import sys\nclass E(Exception):\n"
    head += "    def __str__(self): raise RuntimeError\n    __repr__ = __str__\n"
    head += "    def __float__(self): raise RuntimeError\n"
    tail = "def batch(step):\n    if step == 2 and not at: at.append(step); sys.exit(E())\n"
    tail += "    if step == 2: raise E\n    return ()\nat = []\n"
    tail += "reference = {'elbo': E()}\n"
    client.load(write(tmp_path, head + small(tail=tail)), draws=0)
    assert client.ask(Step(count=2)).step == 1
    assert "sys.exit(<E, which cannot be shown" in client.faults()[0].what
    assert client.ask(Step()).step == 1
    assert "its message cannot be shown" in client.faults()[1].what
    (loaded,) = [event for event in client.seen if isinstance(event, Loaded)]
    assert loaded.reference["elbo"].startswith("<E, which cannot be shown")


CLOSES = [
    "sys.stdout = object()",
    "sys.stdout = sys.stderr = None",
    "sys.__stdout__.close()",
    "signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "input()",
    "os.close(1)",
    "os.write(1, b'lost')",
]
RUDE = """
import os, signal, sys
def batch(step):
    try:
        {act}
    except (OSError, ValueError, EOFError, RuntimeError):
        pass
    return ()
"""


@pytest.mark.slow
def test_what_a_model_closes_does_not_end_the_engine(tmp_path: Path) -> None:
    """One after the other in one process, which gets ruder and ruder."""
    with engine() as client:
        for act in CLOSES:
            client.load(write(tmp_path, small(tail=RUDE.format(act=act))))
            assert client.ask(Step(count=2)).step == 2
            assert client.ask(Restart()).step == 0
            assert client.ask(Step(count=2)).step == 2
            assert client.faults() == []


PRINTS = r"""
import ctypes, os, sys
c = ctypes.CDLL(None)
def batch(step):
    if step == 1: print("x" * 10**7)
    if step == 2: c.printf(b"from C\n"); c.fflush(None)
    if step == 3: os.write(1, b"to one\n"); os.write(2, b"to two\n")
    if step == 4: print("\x1b[31m\x1b]0;title\x07 escapes")
    if step == 5: sys.stdout.write("no newline")
    return ()
"""


def test_what_a_model_prints_goes_to_its_output_alone(tmp_path: Path) -> None:
    with engine() as client:
        client.load(write(tmp_path, small(tail=PRINTS)))
        assert client.ask(Step(count=5)).step == 5
        client.ask(Pause())
        assert client.faults() == []
        assert len(client.records()) == 5
        output = client.output()
    expected = b"x" * 10**7 + b"\nfrom C\nto one\nto two\n"
    assert output == expected + b"\x1b[31m\x1b]0;title\x07 escapes\nno newline"


def test_an_engine_killed_closes_the_line(tmp_path: Path) -> None:
    with engine() as client:
        client.load(write(tmp_path, SMALL))
        client.ask(Step(count=3))
        client.process.kill()
        with pytest.raises(ClosedError):
            client.until(RunStatus)
        assert client.end() == -signal.SIGKILL
        assert len(client.records()) == 3


def test_the_engine_ends_with_its_terminal_even_while_it_hangs(tmp_path: Path) -> None:
    with engine() as client:
        client.load(write(tmp_path, hanging(1)))
        client.send(Step())
        hung(client)
        client.hang_up()
        assert client.end() == 0


def test_the_engine_ends_with_its_terminal_while_it_imports() -> None:
    with engine() as client:
        client.until(EngineBusy)
        client.hang_up()
        assert client.end() == 0
