"""Files that cannot be executed or break the contract: told in a line or two, with what to do."""

from __future__ import annotations

import math
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pyro
import pytest
import torch

from tests.engine.plain import plain_run
from tests.engine.sources import SMALL, small, write
from tui_elbo.engine import tracebacks
from tui_elbo.engine.describe import plain
from tui_elbo.engine.scenario import _forget
from tui_elbo.engine.session import Session
from tui_elbo.model.errors import ScenarioError, UsageError

NO_GUIDE, NO_MODEL = SMALL.replace("guide", "other"), SMALL.replace("model", "other")
CUSTOM = "class E(Exception):\n    def __str__(self): raise RuntimeError\n"

# name: the file, where it is wrong (its end; after the path), what it says, what to do about it.
WRONG: dict[str, tuple[str | bytes, str, str, str]] = {
    "empty": (b"", "", "has no `model`", "define `def model(...)`"),
    "no-model": (NO_MODEL, "", "has no `model`", "define `def model(...)`"),
    "no-guide": (NO_GUIDE, "", "has no `guide`", "or an AutoGuide"),
    "model-none": (small(tail="model = None"), "", "`model` must be a function, and is None", ""),
    "guide-number": (small(tail="guide = 3"), "", "`guide` must be a function, and is 3", ""),
    "syntax": ("import torch\ndef f(:\n", ":2", "does not parse: invalid syntax", ""),
    "tabs": ("def f():\n\tx = 1\n        y = 2\n", ":3", "does not parse: inconsistent use", ""),
    "nested": ("x = " + "(" * 300 + ")" * 300, ":1", "too many nested parentheses", ""),
    "deep": ("x = " + "-" * 200_000 + "1", "", "", ""),
    "nul": (b"a = 1\0\n", "", "null bytes", ""),
    "not-utf8": (b"a = 'caf\xe9'\n", "", "utf-8", ""),
    "missing": (
        "\nimport no_such_module_at_all",
        ":2",
        "No module named 'no_such_module_at_all'",
        f"install it beside elbo-tui, in {sys.prefix}",
    ),
    "no-such-name": ("from math import nothing", ":1", "cannot import name 'nothing'", ""),
    "relative": ("from . import other", ":1", "relative import", "is named as a module"),
    "raises": ("\n\nraise ValueError('a\\nb')", ":3", "ValueError: a", ""),
    "raises-without-words": ("raise ValueError", ":1", "ValueError", ""),
    "raises-what-cannot-be-shown": (CUSTOM + "raise E", ":3", "its message cannot be shown", ""),
    "raises-at-length": ("raise ValueError('x' * 10**7)", ":1", "ValueError: xxx", ""),
    "exit": ("import sys\nsys.exit(3)", ":2", "sys.exit(3)", 'if __name__ == "__main__":'),
    "exit-0": ("import sys\nsys.exit()", ":2", "sys.exit(None)", "__main__"),
    "os-error": ("open('/no/such/file')", ":1", "FileNotFoundError", ""),
    "loss-class": (
        small(tail="from pyro.infer import Trace_ELBO as loss"),
        "",
        "`loss` must be a pyro.infer.ELBO, and is the class Trace_ELBO",
        "call it: loss = Trace_ELBO()",
    ),
    "loss-function": (small(tail="def loss(): pass"), "", "and is a function", "Trace_ELBO()"),
    "loss-number": (small(tail="loss = -1.5"), "", "and is -1.5", "Trace_ELBO()"),
    "optimizer-torch": (
        small(tail="optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)"),
        "",
        "`optimizer` must be a PyroOptim, and is a SGD",
        'use pyro.optim.SGD({"lr": ...})',
    ),
    "optimizer-class": (
        small(tail="optimizer = torch.optim.Adam"),
        "",
        "and is the class Adam",
        "pyro.optim.Adam",
    ),
    "optimizer-factory": (
        small(tail="import pyro.optim\noptimizer = pyro.optim.Adam"),
        "",
        "and is a function",
        'pyro.optim.Adam({"lr": 0.01})',
    ),
    "batch-tuple": (small(tail="batch = (1,)"), "", "`batch` must be a function", ""),
    "full-batch": (small(tail="full_batch = 1"), "", "`full_batch` must be a function", ""),
    "reference": (small(tail="reference = 1"), "", "`reference` must be a dict", ""),
    "seed-negative": (small(tail="seed = -1"), "", "a whole number, at least 0, and is -1", ""),
    "seed-huge": (small(tail="seed = 2**32"), "", "`seed` must be at most 4294967295", ""),
    "seed-bool": (small(tail="seed = True"), "", "`seed` must be a whole number", ""),
    "steps-float": (small(tail="steps = 1e3"), "", "`steps` must be a whole number", ""),
    "steps-none": (small(tail="steps = 0"), "", "at least 1, and is 0", ""),
    "every": (small(tail="scheduler_every = 0"), "", "`scheduler_every` must be", ""),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore:can.t resolve package:ImportWarning")
def test_what_is_wrong_with_a_file_is_reported(name: str, tmp_path: Path) -> None:
    text, line, what, hint = WRONG[name]
    path = write(tmp_path, text)
    with pytest.raises(ScenarioError) as caught:
        Session(str(path))
    error = caught.value
    assert error.where.startswith(str(path))
    assert error.where.removeprefix(str(path)).startswith(line)
    assert what in error.what
    assert hint in error.hint
    assert "\n" not in error.what
    assert len(error.what) < 4_100
    assert len(error.traceback) < 200_000
    assert error.exit_code == 1


@pytest.mark.parametrize("name", ["raises", "missing", "exit", "relative", "raises-at-length"])
def test_the_traceback_is_of_the_persons_own_code(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, WRONG[name][0])
    with pytest.raises(ScenarioError) as caught:
        Session(str(path))
    assert str(path) in caught.value.traceback
    assert "tui_elbo" not in caught.value.traceback.replace(str(path), "")


def test_frames_are_ours_only_in_our_folder(tmp_path: Path) -> None:
    ours = Path(tracebacks.__file__).parents[1]
    assert tracebacks._is_ours(str(ours / "engine" / "session.py"))
    assert not tracebacks._is_ours(str(ours / "scenarios" / "no_theta.py"))
    assert not tracebacks._is_ours(str(ours.parent / "tui_elbo_models" / "model.py"))


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + SMALL.encode(),
        b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\nassert len(name) == 4\n" + SMALL.encode(),
        SMALL.replace("\n", "\r\n").encode(),
        b"'''Title\n\nnotes'''\nfrom __future__ import annotations\n" + SMALL.encode(),
    ],
    ids=["byte-order-mark", "coding-line", "crlf", "future-import"],
)
def test_files_in_other_shapes_run(text: bytes, tmp_path: Path) -> None:
    session = Session(str(write(tmp_path, text)))
    assert math.isfinite(session.step().loss or math.nan)


def test_a_path_may_have_spaces_and_other_letters(tmp_path: Path) -> None:
    path = write(tmp_path, small(tail="import other"), "mein ordner/modèle [red] θ.py")
    write(tmp_path, "", "mein ordner/other.py")
    session = Session(str(path))
    assert session.source.name == "modèle [red] θ.py"
    assert session.step().step == 1


def test_the_file_is_compiled_as_it_stands(tmp_path: Path) -> None:
    """What our own modules import from `__future__` does not reach it."""
    check = "def f(a: int): pass\nassert f.__annotations__ == {'a': int}\n"
    assert Session(str(write(tmp_path, small(tail=check)))).step().step == 1


def test_an_unknown_device_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL)
    for device in ("banana", "cuda:99", "", "meta", "hpu"):
        with pytest.raises(UsageError, match="cannot use this device"):
            Session(str(path), device=device)
    assert Session(str(path)).step().step == 1


FILE_CHANGES = """
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
torch.autograd.set_detect_anomaly(True)
pyro.enable_validation(False)
pyro.poutine.trace().__enter__()
raise ValueError
"""


@pytest.mark.filterwarnings("ignore:Anomaly")
def test_a_file_finds_the_process_as_it_was_before_another(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        Session(str(write(tmp_path, small(tail=FILE_CHANGES))))
    path = write(tmp_path, SMALL, "next.py")
    record = Session(str(path)).step()
    assert torch.get_default_dtype() is torch.float32
    assert not torch.is_anomaly_enabled()
    assert pyro.settings.get()["validate_distributions_pyro"] is True
    assert not pyro.poutine.runtime.am_i_wrapped()
    assert record.loss == plain_run(path, 1).losses[0]


def test_what_a_reference_holds_is_reported_in_plain_numbers() -> None:
    given = {
        "log_evidence": torch.tensor(1.5),
        "params": {"a": np.array([1.0, 2.0]), 3: np.float32(0.5)},
        "posterior": {"z": (1, np.float64(2.0))},
        "more": [10**30, None, "x", 1j],
    }
    assert plain(given) == {
        "log_evidence": 1.5,
        "params": {"a": [1.0, 2.0], "3": 0.5},
        "posterior": {"z": [1, 2.0]},
        "more": [str(10**30), None, "x", "1j"],
    }


def test_the_standard_library_is_not_executed_again(tmp_path: Path) -> None:
    """It may lie below the scenario's folder, as with a Python in the home folder."""
    import wave

    _forget(Path(sysconfig.get_path("stdlib")).parents[2])
    assert sys.modules["wave"] is wave
