"""`elbo-tui rule`: explains a rule of the catalogue, or lists them all."""

from __future__ import annotations

import difflib
import sys
import textwrap
from typing import TYPE_CHECKING

from tui_elbo.cli.options import parser
from tui_elbo.model.errors import UsageError

if TYPE_CHECKING:
    from tui_elbo.engine.checks.rule import Rule

WIDTH = 78


def main(words: list[str]) -> int:
    """Print a rule, or the catalogue; returns the exit code.

    Raises:
        UsageError: if there is no such rule.
    """
    options = parser("elbo-tui rule", "Explain a rule of the findings; without one, list them.")
    options.add_argument("rule", nargs="?", help="its code or name, such as SVI012")
    name = options.parse_args(words).rule
    from tui_elbo.engine.checks.catalogue import CATALOGUE, rule_named  # noqa: PLC0415 - torch

    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    if name is None:
        print("\n".join(f"{one.code}  {one.level:8}{one.name}" for one in _sorted(CATALOGUE)))
        return 0
    rule = rule_named(name)
    if rule is None:
        known = [word for one in CATALOGUE for word in (one.code, one.name)]
        close = difflib.get_close_matches(name, [*known, *map(str.lower, known)], n=1)
        hint = f"did you mean {close[0]}?" if close else "`elbo-tui rule` lists them"
        raise UsageError("there is no such rule", where=name, hint=hint)
    print("\n".join(explained(rule)))
    return 0


def explained(rule: Rule) -> list[str]:
    """What there is to say of a rule, line by line."""
    lines = [f"{rule.code} {rule.name} ({rule.level})", "", f"{rule.message}."]
    for title, text in (("Why", rule.why), ("What to do", rule.remedy)):
        lines += ["", *textwrap.wrap(f"{title}: {text}", WIDTH)]
    lines += ["", f"See {rule.reference}"]
    for title, code in (("It fires on", rule.fires), ("and not on", rule.silent)):
        lines += ["", f"{title}", "", textwrap.indent(code.strip("\n"), "    ")]
    return lines


def _sorted(rules: tuple[Rule, ...]) -> list[Rule]:
    return sorted(rules, key=lambda one: one.code)
