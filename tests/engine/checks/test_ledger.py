"""A finding is kept once, can be put aside, and is ignored where the scenario says so."""

from __future__ import annotations

from tui_elbo.engine.checks.ledger import Ledger
from tui_elbo.model.findings import Finding, Level, Subject

SITE = Subject("site", "z")


def finding(
    code: str, level: Level = "warning", step: int = 1, since: int = 1, message: str = ""
) -> Finding:
    return Finding(code, f"name-{code}", level, SITE, message, "", step=step, since=since)


def test_what_is_found_again_is_kept_once_since_the_first_time() -> None:
    ledger = Ledger()
    assert ledger.add([finding("SVI012", step=10, since=10, message="old")])
    assert ledger.add([finding("SVI012", step=30, since=20, message="new")])
    (kept,) = ledger.findings
    assert (kept.message, kept.step, kept.since) == ("new", 30, 10)
    assert not ledger.add([kept])


def test_errors_come_before_warnings_and_notes() -> None:
    ledger = Ledger()
    ledger.add([finding("A", "note"), finding("B", "warning"), finding("C", "error")])
    assert [one.code for one in ledger.findings] == ["C", "B", "A"]


def test_what_is_dismissed_stays_so_when_it_is_found_again() -> None:
    ledger = Ledger()
    ledger.add([finding("A")])
    ledger.dismiss("A", SITE)
    ledger.add([finding("A", step=9)])
    assert ledger.findings == ()
    assert [one.code for one in ledger.dismissed] == ["A"]
    ledger.dismiss("A", SITE, dismissed=False)
    assert [one.code for one in ledger.findings] == ["A"]


def test_a_rule_is_ignored_by_code_and_by_name() -> None:
    ledger = Ledger(["A", "name-B"])
    assert not ledger.add([finding("A"), finding("B")])
    assert ledger.findings == ()


def test_going_back_drops_what_was_found_later() -> None:
    ledger = Ledger()
    ledger.add([finding("A"), finding("B", step=50)])
    assert ledger.forget_after(0)
    assert [one.code for one in ledger.findings] == ["A"]
