"""What every file of the gallery is: plain Pyro with a title, notes and a reference that fits."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pyro import poutine
from pyro.infer import ELBO
from pyro.optim import PyroOptim

from tests.engine.checks.expected import TROUBLE
from tests.engine.gallery import SCENARIOS
from tests.engine.plain import plain_run

FILES = sorted(SCENARIOS.glob("*.py"))
NO_CLOSED_FORM = {"network"}
KEY = re.compile(r"\d*n|space|f|i|o|e|r|R|q|\?")
each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
SOUND = [path for path in FILES if path.stem not in TROUBLE]
each_sound = pytest.mark.parametrize("path", SOUND, ids=lambda path: path.stem)


def document(path: Path) -> tuple[str, str]:
    """The title and the notes, read without executing the file."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text
    title, _, notes = text.partition("\n")
    return title, notes


def test_the_question_of_the_forum_is_there() -> None:
    names = {path.stem for path in FILES}
    assert names >= {"no_theta", "fixed_mean_guide", "learned_prior"}
    assert names >= {"hyperprior_map", "prior_collapse", "network"}


@each
def test_title_and_notes(path: Path) -> None:
    title, notes = document(path)
    assert 10 <= len(title) <= 70
    assert not title.endswith(".")
    # The gallery shows how the notes begin: a paragraph of words.
    assert notes.startswith("\n")
    assert re.match(r"[*`A-Z]", notes[1])
    for heading in ("**Press**", "**See**", "**Why**"):
        assert notes.count(heading) == 1


@each
def test_the_notes_name_keys_that_exist(path: Path) -> None:
    _, notes = document(path)
    press = notes.partition("**Press**")[2].partition("\n\n")[0]
    keys = re.findall(r"`([^`]+)`", press)
    assert keys
    assert [key for key in keys if not KEY.fullmatch(key)] == []


@each
def test_it_is_a_plain_pyro_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= {"pyro", "torch", "numpy"} | sys.stdlib_module_names
    assert len(text.splitlines()) <= 80


@each_sound
@pytest.mark.filterwarnings("error")
def test_three_steps_without_a_warning(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = plain_run(path, 3)
    assert np.isfinite(run.losses).all()
    assert capfd.readouterr() == ("", "")
    scenario = run.scenario
    assert isinstance(scenario.optimizer, PyroOptim)
    assert isinstance(getattr(scenario, "loss", None), ELBO | None)
    assert 100 <= scenario.steps <= 5000


@each_sound
def test_the_reference_fits_the_model(path: Path) -> None:
    run = plain_run(path, 1)
    reference = getattr(run.scenario, "reference", None)
    if path.stem in NO_CLOSED_FORM:
        assert reference is None
        return
    assert reference
    assert reference.keys() <= {"log_evidence", "elbo", "params", "posterior"}
    json.dumps(reference, allow_nan=False)
    for name, value in reference.get("params", {}).items():
        assert torch.as_tensor(value).shape == run.params[name].shape
    args = run.scenario.batch(1) if hasattr(run.scenario, "batch") else ()
    trace = poutine.trace(run.scenario.model).get_trace(*args)
    for name, (mean, sd) in reference.get("posterior", {}).items():
        assert not trace.nodes[name]["is_observed"]
        shape = trace.nodes[name]["value"].shape
        assert torch.as_tensor(mean).shape == torch.as_tensor(sd).shape == shape
