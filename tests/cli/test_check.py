"""`elbo-tui check` and `elbo-tui rule`: findings for people, for programs, and for CI."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.cli.command import ran, records
from tests.engine.sources import small, write
from tui_elbo.cli import rule
from tui_elbo.cli.check import FindingPrinter, annotation
from tui_elbo.model.errors import UsageError
from tui_elbo.model.findings import Finding, Level, Subject, finding_line

FINDING = Finding(
    "SVI012",
    "missing-in-guide",
    "warning",
    Subject("site", "slope"),
    'latent "slope" is not in the guide',
    "add it",
    evidence="50%",
    line=7,
)


def test_a_finding_is_a_line_and_its_hint() -> None:
    assert finding_line(FINDING).splitlines() == [
        'warning SVI012 missing-in-guide: line 7: latent "slope" is not in the guide (50%)',
        "  add it",
    ]


def test_a_finding_is_an_annotation_of_its_line() -> None:
    assert annotation(FINDING, Path("a,b.py")) == (
        "::warning file=a%2Cb.py,line=7,title=SVI012 missing-in-guide::"
        'latent "slope" is not in the guide: add it'
    )


@pytest.mark.parametrize(("level", "worst"), [("note", False), ("warning", True), ("error", True)])
def test_a_finding_is_printed_once_and_a_note_is_no_failure(level: Level, worst: bool) -> None:
    out = io.StringIO()
    printer = FindingPrinter(out, lambda finding: finding.code)
    finding = Finding("A", "a", level, Subject("run"), "what", "do")
    printer.take((finding,))
    printer.take((finding,))
    assert (out.getvalue(), printer.worst) == ("A\n", worst)


def test_a_rule_is_explained_by_code_and_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert rule.main(["SVI012"]) == 0
    by_code = capsys.readouterr().out
    assert rule.main(["missing-in-guide"]) == 0
    assert capsys.readouterr().out == by_code
    assert by_code.startswith("SVI012 missing-in-guide (warning)")
    assert rule.main([]) == 0
    assert "SVI012" in capsys.readouterr().out


def test_a_rule_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        rule.main(["missing-in-guid"])
    assert "did you mean missing-in-guide?" in str(caught.value)


def test_check_prints_findings_as_json_and_ends_with_4(tmp_path: Path) -> None:
    path = write(tmp_path, small(guide="pyro.sample('w', dist.Normal(0., 1.))"))
    code, out, _ = ran("check", str(path), "--json", "--steps", "2")
    assert code == 4
    found = {one["code"]: one for one in records(out)}
    assert found["SVI002"]["subject"] == {"kind": "site", "name": "w"}
    assert found["SVI002"]["level"] == "error"


@pytest.mark.slow
def test_check_ends_with_0_where_nothing_is_wrong_and_with_1_where_it_does_not_load(
    tmp_path: Path,
) -> None:
    code, out, _ = ran("check", "conjugate_normal", "--steps", "20")
    assert (code, out) == (0, "")
    code, out, err = ran("check", str(write(tmp_path, "1 / 0\n")))
    assert (code, out) == (1, "")
    assert "ZeroDivisionError" in err


@pytest.mark.slow
def test_run_prints_findings_on_stderr(tmp_path: Path) -> None:
    path = write(tmp_path, small(guide="pyro.sample('w', dist.Normal(0., 1.))"))
    code, out, err = ran("run", str(path), "--json", "--steps", "2")
    assert code == 0
    assert len(records(out)) == 2
    assert "SVI002 not-in-model: line" in err


@pytest.mark.slow
def test_it_is_said_on_stderr_that_nothing_was_found(tmp_path: Path) -> None:
    code, out, err = ran("check", str(write(tmp_path, small())), "--steps", "20")
    assert (code, out) == (0, "")
    said = "no rule has found a fault before the first step and in 20 steps. Cannot tell"
    assert said in err
    code, out, err = ran("check", str(write(tmp_path, small())), "--steps", "0", "--json")
    assert (code, out, err) == (0, "", "")
