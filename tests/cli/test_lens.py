"""`run --lens` and `explain`, as a person runs them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.cli.command import ran, records


@pytest.mark.slow
def test_lines_of_the_lens_come_after_their_records_and_change_none() -> None:
    words = ("run", "fixed_mean_guide", "--steps", "45", "--json")
    code, out, _ = ran(*words, "--lens", "20")
    assert code == 0
    found = records(out)
    steps = [one["step"] if "step" in one else ("lens", one["lens"]["step"]) for one in found]
    assert steps == [
        1, ("lens", 1), *range(2, 21), ("lens", 20), *range(21, 41), ("lens", 40), *range(41, 46)
    ]  # fmt: skip
    plain = records(ran(*words)[1])
    watched = [one for one in found if "step" in one]
    for one in (*plain, *watched):
        one.pop("seconds")
    assert watched == plain


def test_a_line_adds_up_and_meets_the_closed_form() -> None:
    words = ("run", "fixed_mean_guide", "--steps", "100", "--every", "1", "--json")
    _, out, _ = ran(*words, "--lens", "50", "--draws", "20000")
    found = records(out)
    by_step = {one["step"]: one for one in found if "step" in one}
    lines = [one["lens"] for one in found if "lens" in one]
    assert [(line["step"], line["draws"]) for line in lines] == [
        (1, 20000),
        (50, 20000),
        (100, 20000),
    ]
    for line, before in zip(lines, [lines[0], *lines], strict=False):
        assert set(line) == {"step", "draws", "log_p", "log_q", "elbo"}
        for name in ("log_p", "log_q", "elbo"):
            told = line[name]
            assert set(told) == {"value", "mcse", "interval", "total"}
            for span, since in (("interval", before["step"]), ("total", 1)):
                share = told[span]
                assert set(share) == {"phi", "theta", "draw", "observed"}
                assert share["theta"] == 0.0
                assert share["observed"] == by_step[line["step"]][name] - by_step[since][name]
                added = share["phi"] + share["theta"] + share["draw"]
                assert added == pytest.approx(share["observed"], abs=1e-12)
    phi = by_step[99]["params"]["phi"]["value"]
    errors = [one["mcse"] for one in found if "lens" in one]
    assert all(set(one) == {"log_p", "log_q", "elbo"} for one in errors)
    assert 0 < errors[-1]["log_p"]["total"]["phi"] < 0.01
    assert errors[-1]["log_q"]["total"]["phi"] < 1e-6
    total = {name: lines[-1][name]["total"]["phi"] for name in ("log_p", "log_q", "elbo")}
    assert total["log_p"] == pytest.approx(-0.5 * (phi**2 - 0.04), abs=0.03)
    assert total["log_q"] == pytest.approx(-math.log(phi / 0.2), abs=1e-5)
    assert total["elbo"] == pytest.approx(total["log_p"] - total["log_q"], abs=1e-9)
    assert lines[0]["log_q"]["value"] == pytest.approx(
        -0.5 * math.log(2 * math.pi * math.e) - math.log(0.2), abs=0.03
    )


@pytest.mark.slow
def test_a_compiled_estimator_has_values_and_shares_but_nothing_observed(tmp_path: Path) -> None:
    path = tmp_path / "compiled.py"
    path.write_text(
        "import pyro, torch, pyro.distributions as dist\n"
        "def model():\n    pyro.sample('z', dist.Normal(0.0, 1.0))\n"
        "def guide():\n"
        "    m = pyro.param('m', torch.tensor(2.0))\n"
        "    pyro.sample('z', dist.Normal(m, 1.0))\n"
        "loss = pyro.infer.JitTrace_ELBO()\n"
    )
    code, out, _ = ran("run", str(path), "--steps", "10", "--lens", "5", "--json", "--every", "10")
    assert code == 0
    line = [one["lens"] for one in records(out) if "lens" in one][-1]
    assert line["log_p"]["total"]["phi"] > 0
    assert line["log_p"]["total"]["observed"] is None
    assert line["log_p"]["total"]["draw"] is None


@pytest.mark.slow
def test_without_json_the_attribution_follows_the_summary() -> None:
    code, out, _ = ran("run", "no_theta", "--steps", "60", "--lens", "20")
    assert code == 0
    assert "what moved it, from record 1 to 60 (nats)" in out
    assert any("No θ here: log p rose" in line for line in out.splitlines())


@pytest.mark.parametrize(
    "words",
    [
        ("--draws", "100"),
        pytest.param(("--lens", "0"), marks=pytest.mark.slow),
        pytest.param(("--lens", "5", "--csv"), marks=pytest.mark.slow),
        pytest.param(("--lens", "2", "--draws", "1"), marks=pytest.mark.slow),
    ],
)
def test_what_does_not_go_together_ends_with_2(words: tuple[str, ...]) -> None:
    code, out, err = ran("run", "no_theta", "--steps", "3", *words)
    assert (code, out) == (2, "")
    assert "lens" in err or "draws" in err


def test_explain_answers_the_question() -> None:
    code, out, _ = ran("explain", "fixed_mean_guide", "--steps", "200")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == ("fixed_mean_guide: Must log p rise when the ELBO does?")
    assert any("q is spreading out to match p." in line for line in lines)
    assert any(line.startswith("KL(q ‖ posterior): 0.5") for line in lines)
    assert any(line.startswith("φ phi") for line in lines)


@pytest.mark.slow
def test_explain_prints_a_fault_in_the_place_of_the_sentence() -> None:
    code, out, err = ran("explain", "flat_slope", "--steps", "20")
    assert code == 0
    assert "warning SVI012 missing-in-guide" in err
    assert "what moved it" in out
    assert "log p rose" not in out
    assert "log p fell" not in out
    assert out.splitlines()[-1].endswith("SVI012 missing-in-guide stands.")


@pytest.mark.slow
def test_explain_speaks_of_a_failing_lens_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "only_in_training.py"
    path.write_text(
        "import pyro, torch, pyro.distributions as dist\n"
        "def model():\n    pyro.sample('z', dist.Normal(0.0, 1.0))\n"
        "def guide():\n"
        "    m = pyro.param('m', torch.tensor(2.0))\n"
        "    assert torch.is_grad_enabled(), 'not in training'\n"
        "    pyro.sample('z', dist.Normal(m, 1.0))\n"
    )
    code, out, err = ran("explain", str(path), "--steps", "10")
    assert code == 0
    assert "the lens sees nothing: AssertionError: not in training" in err
    assert "The lens sees nothing: AssertionError: not in training." in out
