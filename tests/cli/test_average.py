"""`run --average`: the run ends at the mean of its iterates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import ran, verdict


@pytest.mark.slow
def test_a_run_is_taken_to_its_mean_measured_saved_and_gone_on_with(tmp_path: Path) -> None:
    saved = str(tmp_path / "a.run")
    words = ("run", "no_theta", "--steps", "40", "--json")
    code, out, _ = ran(*words, "--average", "--save", saved)
    assert code == 0
    average = json.loads(out.splitlines()[-2])["average"]
    assert average["step"] == average["last"] == 40
    assert average["gain"]["mcse"] > 0
    assert average["params"]["loc"].keys() == {"role", "shape", "value"}
    assert "the mean of steps" in average["text"]
    # The verdict is that on the run before.
    assert "there are 40" in verdict(out)["text"]
    code, more, _ = ran("run", "--from", saved, "--steps", "41", "--json")
    assert code == 0
    _, plain, _ = ran("run", "no_theta", "--steps", "41", "--json")
    assert json.loads(more.splitlines()[0])["loss"] != json.loads(plain.splitlines()[40])["loss"]
    code, out, err = ran("run", "no_theta", "--steps", "5", "--average", "--json")
    assert code == 2
    assert "takes 16 steps, and there are 5" in err
    assert verdict(out)["state"] == "cannot_tell"
