"""Every rule fires on its example, and is silent on the mended one."""

from __future__ import annotations

import gc
import re
import weakref
from functools import cache
from pathlib import Path

import pytest

import tui_elbo
from tui_elbo.engine.checks.catalogue import CATALOGUE, rule_named
from tui_elbo.engine.checks.examples import example
from tui_elbo.engine.checks.rule import Rule
from tui_elbo.engine.checks.static import check
from tui_elbo.engine.scenario import release
from tui_elbo.model.findings import Finding

README = Path(tui_elbo.__file__).parents[1] / "README.md"

STATIC = [rule for rule in CATALOGUE if rule.when == "static"]


@cache
def findings(text: str) -> tuple[Finding, ...]:
    found = check(example(text))
    assert found.unchecked == ()
    return found.findings


@pytest.mark.parametrize("rule", STATIC, ids=lambda rule: rule.name)
def test_a_rule_fires_on_its_example(rule: Rule) -> None:
    assert rule.code in {found.code for found in findings(rule.fires)}


@pytest.mark.parametrize("rule", STATIC, ids=lambda rule: rule.name)
def test_no_rule_warns_of_the_mended_example(rule: Rule) -> None:
    found = findings(rule.silent)
    assert rule.code not in {one.code for one in found}
    assert {one.code for one in found if one.level != "note"} == set()


def test_a_check_keeps_nothing_of_its_scenario_alive() -> None:
    """Modules that live on would be part of the state of every later run of the process."""
    (text,) = (rule.fires for rule in CATALOGUE if "BatchNorm" in rule.fires)
    scenario = example(text)
    check(scenario)
    gone = weakref.ref(scenario.model)
    del scenario
    release()
    gc.collect()
    assert gone() is None


def test_codes_and_names_are_unique_and_in_form() -> None:
    assert len({rule.code for rule in CATALOGUE}) == len(CATALOGUE)
    assert len({rule.name for rule in CATALOGUE}) == len(CATALOGUE)
    for rule in CATALOGUE:
        family = "SVI0" if rule.when == "static" else "SVI1"
        assert re.fullmatch(rf"{family}\d\d", rule.code)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)


@pytest.mark.parametrize("rule", CATALOGUE, ids=lambda rule: rule.name)
def test_a_rule_says_why_and_what_to_do(rule: Rule) -> None:
    for text in (rule.message, rule.why, rule.remedy):
        assert text
        assert "\n" not in text
    assert rule.reference.startswith("https://")
    assert not rule.message.endswith(".")
    assert not rule.remedy.endswith(".")


def test_a_rule_is_found_by_code_and_by_name() -> None:
    for rule in CATALOGUE:
        assert rule_named(rule.code.lower()) is rule
        assert rule_named(rule.name) is rule
    assert rule_named("SVI999") is None


def row(rule: Rule) -> str:
    return f"| `{rule.code}` | {rule.name} | {rule.level} | {rule.message} |"


def test_the_readme_lists_the_catalogue() -> None:
    rules = sorted(CATALOGUE, key=lambda rule: rule.code)
    listed = [line for line in README.read_text().splitlines() if line.startswith("| `SVI")]
    assert listed == [row(rule) for rule in rules]
