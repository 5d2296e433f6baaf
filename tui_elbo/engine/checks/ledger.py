"""The findings of one run: each once, without those that are ignored or dismissed."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tui_elbo.model.findings import Finding, Subject, merged


class Ledger:
    """Keeps what has been found.

    Args:
        ignore: codes and names of rules whose findings are dropped.
    """

    def __init__(self, ignore: Collection[str] = ()) -> None:
        self._ignore = frozenset(ignore)
        self._all: tuple[Finding, ...] = ()
        self._dismissed: set[tuple[str, Subject]] = set()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those that stand, the gravest first."""
        return tuple(one for one in self._all if one.key not in self._dismissed)

    @property
    def dismissed(self) -> tuple[Finding, ...]:
        """Those that the person has dismissed for this run."""
        return tuple(one for one in self._all if one.key in self._dismissed)

    def add(self, found: Iterable[Finding]) -> bool:
        """Take in what was found; whether that changes anything."""
        kept = [one for one in found if not self._ignore.intersection((one.code, one.name))]
        before, self._all = self._all, merged(self._all, kept)
        return before != self._all

    def resolve(self, keys: Collection[tuple[str, Subject]]) -> bool:
        """What these say holds no longer; whether that changes anything."""
        before = self._all
        self._all = tuple(one for one in before if one.key not in keys)
        return before != self._all

    def forget_after(self, step: int) -> bool:
        """Drop what was found after a step; whether that changes anything."""
        before = self._all
        self._all = tuple(one for one in before if one.step <= max(step, 1))
        return before != self._all

    def dismiss(self, code: str, subject: Subject, *, dismissed: bool = True) -> None:
        """Put a finding aside for this run, or take it back."""
        change = self._dismissed.add if dismissed else self._dismissed.discard
        change((code, subject))
