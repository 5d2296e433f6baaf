"""A lens for one scenario: how it draws is settled at the first reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from tui_elbo.engine.lens.batches import SEED, Data, Group, data, groups
from tui_elbo.engine.lens.draws import Table, seed_draw
from tui_elbo.engine.lens.enumerated import WHOLE, DrawStrategy
from tui_elbo.engine.lens.inspect_model import NO_BROADCAST, Kind, look, mismatch
from tui_elbo.engine.lens.isolation import isolated, with_params
from tui_elbo.engine.lens.subject import State, Subject
from tui_elbo.model.attribution import ONE_BY_ONE, SUM_TERMS, Term, TermSamples, mean
from tui_elbo.model.estimate import Moments
from tui_elbo.model.records import Floats

DRAWS = 256
"""By default."""

LOOPED_SHARE = 4
"""One by one, draws cost so much more that only every so many-th is taken."""

LEAST_LOOPED = 32

MEMORY = 2**20
"""How many numbers a plate of draws may take at once: between two, a look can give way."""

CHECK_EVERY = 64
"""Readings after which a plate is checked anew: a model's branches may depend on parameters."""


@dataclass(frozen=True, eq=False)
class LensReading:
    """What was seen at one parameter state."""

    reading: TermSamples
    posterior: dict[str, Moments] = field(default_factory=dict)
    """Of each element of each small latent under the guide."""


@dataclass(frozen=True)
class Settled:
    """How a lens draws, found out at its first look."""

    kind: Kind
    loop_reason: str
    """Why draws are taken one by one, in words; empty while they are taken all at once."""
    batched: bool = False
    """Whether all at once they are `Batched`, since the model is written for one draw."""
    version: int = 0
    """Grows when the draws have had to change."""
    looks: int = 0
    """How many have been taken."""


def _silent(_done: int, _of: int) -> None:
    return None


class Lens:
    """Looks at parameter states of one scenario.

    Args:
        scenario: as executed; its guide must have been set up, by a first step.
        draws: how many, where they can be taken all at once; fewer where they cannot.
        seed: of the draws; the same for all that is to be compared.
    """

    def __init__(
        self,
        scenario: Subject,
        draws: int = DRAWS,
        seed: int = SEED,
        settled: Settled | None = None,
    ) -> None:
        self.scenario, self._asked, self._seed = scenario, draws, seed
        self._settled = settled
        self._data: Data | None = None
        self._groups: list[Group] = []
        self.report: Callable[[int, int], None] = _silent
        """Called with how many draws are done of how many."""

    def see(self, state: State | None = None) -> LensReading:
        """What model and guide say at a parameter state.

        Args:
            state: unconstrained values; None: the present ones.

        Raises:
            Exception: whatever the person's own code raises.
        """
        return self._lens_reading(self._look(state))

    def see_draws(self) -> tuple[LensReading, dict[str, Floats]]:
        """The same at the present state, with the draws of each small latent, (draws, elements).

        Raises:
            Exception: whatever the person's own code raises.
        """
        table = self._look(None)
        return self._lens_reading(table), {n: np.concatenate(v) for n, v in table.latents.items()}

    def _look(self, state: State | None) -> Table:
        with isolated(), torch.no_grad(), with_params(state or {}, self.scenario.own):
            self._prepare()
            if not self.looped and self.settled.looks % CHECK_EVERY == CHECK_EVERY - 1:
                self._check()
            self._settled = replace(self.settled, looks=self.settled.looks + 1)
            return self._table()

    @property
    def settled(self) -> Settled:
        """How it draws.

        Raises:
            RuntimeError: before the first look.
        """
        if self._settled is None:
            raise RuntimeError("the lens has not looked yet")
        return self._settled

    @settled.setter
    def settled(self, settled: Settled) -> None:
        self._settled, self._data = settled, None

    @property
    def settled_or_none(self) -> Settled | None:
        """The same; None before the first look."""
        return self._settled

    @property
    def version(self) -> int:
        """Grows when the draws have had to change."""
        return 0 if self._settled is None else self._settled.version

    @property
    def note(self) -> str:
        """What is to be known of how it draws; empty when nothing is."""
        if self._settled is None or not self._settled.loop_reason:
            return ""
        return self._settled.loop_reason

    @property
    def looped(self) -> bool:
        """Whether draws are taken one by one."""
        return bool(self.settled.loop_reason)

    @property
    def broadcasts(self) -> bool:
        """Whether the model works inside a plate of draws, as vectorised particles need it."""
        return not (self.looped or self.settled.batched)

    @property
    def kind(self) -> Kind:
        """What sort of scenario it has found; to be asked after the first look."""
        return self.settled.kind

    @property
    def strategy(self) -> DrawStrategy:
        """How it draws."""
        return DrawStrategy(
            self.scenario.model,
            self.scenario.guide,
            self.kind.nesting,
            self.kind.enumerated,
            self.settled.batched,
        )

    @property
    def groups(self) -> list[Group]:
        """What it draws."""
        return self._groups

    @property
    def alike(self) -> bool:
        """Whether all draws see the same data, so that each is a unit of its own."""
        return self.data.whole and not self.kind.subsampled

    @property
    def data(self) -> Data:
        """What model and guide are called with."""
        if self._data is None:
            self._data = data(self.scenario, self._seed)
        return self._data

    def prepare(self) -> None:
        """Make ready to draw as it was settled, in a process that has not looked yet."""
        if self._data is None or not self._groups:
            with isolated(), torch.no_grad():
                self._prepare()

    def _prepare(self) -> None:
        if self._data is not None and self._groups:
            return
        if self._settled is not None:
            self._groups = self._spread()
            return
        kind = look(self.scenario, self.data.batches[0])
        self._settled = Settled(kind, "")
        if kind.single:
            self._loop(kind.single)
        else:
            self._groups = self._spread()
            self._check()

    def _check(self) -> None:
        group = self._groups[self.settled.looks % len(self._groups)]
        reason = mismatch(self.strategy, group.args, group.seed)
        if reason and not self._batch(group):
            self._loop(reason)

    def _batch(self, group: Group) -> bool:
        """Whether from now on draws can be taken all at once behind the shape of one."""
        if self.settled.batched or self.kind.enumerated:
            return False
        if mismatch(replace(self.strategy, batched=True), group.args, group.seed):
            return False
        self._settled = replace(self.settled, batched=True, version=self.settled.version + 1)
        return True

    def _loop(self, reason: str) -> None:
        self._settled = replace(self.settled, loop_reason=reason, version=self.settled.version + 1)
        self._groups = self._spread()
        count = sum(group.draws for group in self._groups)
        note = f"{count} {ONE_BY_ONE}: {reason}"
        self._settled = replace(self.settled, loop_reason=note)

    def _spread(self) -> list[Group]:
        draws, most = self._asked, max(MEMORY // self.kind.size, 1)
        if self.looped:
            draws = most = max(self._asked // LOOPED_SHARE, min(self._asked, LEAST_LOOPED))
        subsampled = self.kind.subsampled
        return groups(self.data, draws, subsampled=subsampled, most=most, seed=self._seed)

    def _table(self) -> Table:
        if not self.looped:
            try:
                return self._at_once()
            except Exception:
                self._loop(NO_BROADCAST)
        return self._one_by_one()

    def _at_once(self) -> Table:
        table = self._empty()
        for group in self._groups:
            self.report(group.first, table.draws)
            table.take(group.first, self.strategy.many(group.args, group.draws, group.seed))
        return table

    def _one_by_one(self) -> Table:
        table, failed = self._empty(), None
        for group in self._groups:
            for draw in range(group.first, group.first + group.draws):
                self.report(draw, table.draws)
                seed_draw(self._groups[0].seed + draw)
                try:
                    table.take(draw, self.strategy.one(group.args))
                except Exception as error:
                    failed = error
                    table.failed.append(draw)
        if failed is not None and len(table.failed) == table.draws:
            raise failed
        return table

    def _empty(self) -> Table:
        return Table(sum(group.draws for group in self._groups), local=self.alike)

    def _lens_reading(self, table: Table) -> LensReading:
        own, bad = _own(table, self.kind)
        rows = {Term(part.site, part.field): row for part, row in table.rows.items() if part.site}
        units = np.array([*own, *rows.values()]).reshape(-1, table.draws)
        edges = None
        if len(self._groups) > 1 and not self.alike:
            edges = [group.first for group in self._groups]
            parts = np.split(units, edges[1:], axis=1)
            units = np.stack([mean(part) for part in parts], axis=1)
        posterior = {
            name: moments(np.concatenate(values), edges) for name, values in table.latents.items()
        }
        return LensReading(TermSamples((*SUM_TERMS, *rows), units, table.draws, bad), posterior)


def _own(table: Table, kind: Kind) -> tuple[list[Floats], int]:
    """The rows of `SUM_TERMS`, and how many draws are not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        likelihood, prior = _total(table, "log_p", True), _total(table, "log_p", False)
        log_p, log_q = likelihood + prior, _total(table, "log_q", False)
        if WHOLE in table.rows:
            log_p = table.rows[WHOLE]
            if kind.summed_out:
                likelihood = prior = np.full(table.draws, np.nan)
        bad = int((~np.isfinite(log_p) | ~np.isfinite(log_q)).sum())
        if kind.unseen:
            log_p = likelihood = prior = np.full(table.draws, np.nan)
        return [log_p, log_q, log_p - log_q, likelihood, prior], bad


def _total(table: Table, field: str, observed: bool) -> Floats:
    zero = np.zeros(table.draws)
    zero[table.failed] = np.nan
    rows = table.rows.items()
    return sum(
        (row for p, row in rows if p.site and (p.field, p.observed) == (field, observed)), zero
    )


def moments(values: Floats, edges: Sequence[int] | None = None) -> Moments:
    """Mean and standard deviation of draws, with standard errors from their influence on each.

    Args:
        values: (draws, elements).
        edges: where groups of draws that depend on each other begin; None: all are independent.
    """
    if len(values) < 2:
        nan = np.full(values.shape[1], np.nan)
        return Moments(values.mean(axis=0), nan, nan, nan)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        middle, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
        sd[(values == values[0]).all(axis=0)] = 0.0
        off = values - middle
        bend = np.where(sd > 0, (off**2 - sd**2) / (2 * sd), 0.0)
        return Moments(middle, sd, *(np.where(sd == 0, 0.0, _error(u, edges)) for u in (off, bend)))


def _error(influence: Floats, edges: Sequence[int] | None) -> Floats:
    """Standard error of what the influences, (draws, elements), are of."""
    if edges is not None and len(edges) > 1 and edges[-1] < len(influence):
        parts = np.split(influence, edges[1:])
        influence = np.stack([part.mean(axis=0) for part in parts])
    error: Floats = influence.std(axis=0, ddof=1) / np.sqrt(len(influence))
    return error
