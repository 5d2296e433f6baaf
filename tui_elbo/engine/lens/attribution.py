"""Follows a session through the lens: what each update did, and who did it.

A session is followed from before its first step. Points may be taken whenever it stands still,
after at least one step; the first is that of step 0, at whatever step the session stands.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from tui_elbo.engine.lens import DRAWS, Births, GaveWay, Lens, Sight, State, captured
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.lens.gradients import Pulls, pulls
from tui_elbo.engine.lens.importance_weights import DRAWS as WEIGHED
from tui_elbo.engine.lens.importance_weights import weigh
from tui_elbo.engine.lens.subject import Followed
from tui_elbo.model.attribution import (
    PLAYER_OF_ROLE,
    AttributionPath,
    CoalitionSamples,
    LensPoint,
    Player,
    TermSamples,
    no_samples,
    players_of,
    subsets,
)
from tui_elbo.model.bound import ImportanceBound, no_bound
from tui_elbo.model.records import Batch, Floats, Role

T = TypeVar("T")

KEPT_STATES = 64
"""Points from which a run that is taken back can go on."""

KEPT_BYTES = 2**26
"""What their parameters and numbers may take, about."""


@dataclass(frozen=True, eq=False)
class _Kept:
    path: AttributionPath
    state: State

    @property
    def size(self) -> int:
        """Bytes, about."""
        return self.path.size + sum(value.nbytes for value in self.state.values())


class Attribution:
    """Takes lens points of a session, and adds up along them who moved what.

    Args:
        session: standing at step 0.
        draws: of the lens, where they can be taken all at once; None: `DRAWS`.
        births: of its parameters, where somebody else has kept them; the session may then stand
            anywhere.
    """

    def __init__(
        self, session: Followed, draws: int | None = None, births: Births | None = None
    ) -> None:
        self.posterior: dict[str, tuple[Floats, Floats]] = {}
        """Mean and standard deviation of each small latent at the newest point, (elements,)."""
        self._session, self._draws = session, draws or DRAWS
        self.roles: dict[str, Role] = {}
        """Who reads each parameter."""
        self._births = births or Births()
        self._path, self._base = AttributionPath(), State()
        self._kept: list[_Kept] = []
        self._lens = Lens(session.scenario, self._draws)
        self._version = 0
        self._give_way: Callable[[], bool] | None = None

    def close(self) -> None:
        """Follow no longer."""
        self._births.close()

    @property
    def knows_beginning(self) -> bool:
        """Whether the parameters of step 0 are known, so that `begin` can be called."""
        return self._births.known

    @property
    def lens(self) -> Lens:
        """What the points are seen through; another one after the file was executed anew."""
        if self._lens.scenario is not self._session.scenario:
            self._lens = Lens(self._session.scenario, self._draws)
        return self._lens

    def learn(self, batches: Sequence[Batch]) -> None:
        """Take note of who reads which parameter; to be told the batches of all steps."""
        if batches:
            self.roles = {info.name: info.role for info in batches[-1].layout.params}

    @property
    def players(self) -> tuple[Player, ...]:
        """Who there is."""
        return players_of(self.roles.values())

    @property
    def latents(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The sites that the guide draws, and those of them that are points; after a point."""
        try:
            return self.lens.kind.latents, self.lens.kind.points
        except RuntimeError:
            return (), ()

    def changes(self, since: int = 0) -> tuple[int, dict[str, float]]:
        """How far each parameter has come since a state: Euclidean, unconstrained.

        Returns:
            The state from which on it is counted, which is the last before `since` of which the
            values are kept; and the changes by name.
        """
        earlier = [kept for kept in self._kept if 0 < kept.path.state <= since]
        begin = earlier[-1].state if earlier else State()
        begin = self._births.completed(begin)
        changes = {
            name: float(torch.linalg.vector_norm((value - begin[name]).double()))
            for name, value in captured().items()
            if name in begin
        }
        return (earlier[-1].path.state if earlier else 0), changes

    def pulls(self) -> dict[str, Pulls]:
        """The gradients of the terms at the present parameters; empty if they cannot be had."""
        return self._guarded(lambda: pulls(self.lens, self.roles)) or {}

    def weigh(
        self,
        draws: int = WEIGHED,
        seed: int = SEED,
        give_way: Callable[[], bool] | None = None,
    ) -> ImportanceBound:
        """The importance-weighted bound at the present parameters; raises as `begin` does."""
        scenario = self._session.scenario
        found = self._guarded(lambda: weigh(scenario, draws=draws, seed=seed, give_way=give_way))
        return found or no_bound(0, "drawing raised an error")

    def _guarded(self, act: Callable[[], T]) -> T | None:
        self._session.stepping = True
        try:
            return act()
        except GaveWay:
            raise
        except (Exception, SystemExit):
            return None
        finally:
            self._session.stepping = False

    def begin(self, give_way: Callable[[], bool] | None = None) -> LensPoint:
        """The point of step 0; to be taken after the first step, before any other point.

        Args:
            give_way: asked between draws; if it says so, the look is broken off.

        Raises:
            GaveWay: when it has been broken off; nothing has changed then.
        """
        self._give_way = give_way
        return self._point(0, dict(self._births.values), present=False)

    def point(self, give_way: Callable[[], bool] | None = None) -> LensPoint:
        """The point of the state at which the session stands; arguments as for `begin`."""
        self._give_way = give_way
        state = self._births.completed(captured())
        return self._point(self._session.steps_taken, state, present=True)

    def go_back(self, step: int) -> int:
        """Forget the points after that step, when the run itself has been taken back to it.

        Returns:
            The state of the last point that still holds; what comes next is compared with it. -1
            if there is none, so that the next point is the first.
        """
        while self._kept and self._kept[-1].path.state > step:
            self._kept.pop()
        kept = self._kept[-1] if self._kept else _Kept(AttributionPath(), State())
        self._path, self._base = copy.copy(kept.path), kept.state
        return -1 if self._path.base is None else self._path.state

    def _point(self, step: int, state: State, *, present: bool) -> LensPoint:
        players = self.players
        moved = [p for p in players if self._path.base is not None and self._differ(p, state)]
        try:
            reading, corners = self._readings(state, moved, present=present)
            note = self.lens.note
        except GaveWay:
            raise
        except (Exception, SystemExit) as error:
            reading, corners, self.posterior = no_samples(), {}, {}
            note = f"the lens sees nothing: {type(error).__name__}: {error}".splitlines()[0]
        point = self._path.extend(
            step, reading, players, moved=moved, coalitions=corners, note=note
        )
        if self._path.base is reading:
            self._base = state
            self._keep()
        return point

    def _readings(
        self, state: State, moved: Sequence[Player], *, present: bool
    ) -> tuple[TermSamples, CoalitionSamples]:
        """The state's reading and those of the mixed states, all at the same draws."""
        while True:
            sight = self._see(None if present else state)
            corners = {
                some: self._see(self._mixed(some, state)).reading
                for some in subsets(moved)
                if 0 < len(some) < len(moved)
            }
            version = self.lens.version
            if version == self._version or self._path.base is None:
                break
            self._path.rebase(self._see(self._base).reading)
            self._version = version
        self._version, self.posterior = version, sight.posterior
        return sight.reading, corners

    def _see(self, state: State | None) -> Sight:
        self._session.stepping = True
        try:
            return self.lens.see(state, self._give_way)
        finally:
            self._session.stepping = False

    def _keep(self) -> None:
        """Keep where the path stands; every second of the older ones goes when it gets much."""
        self._kept.append(_Kept(copy.copy(self._path), self._base))
        if len(self._kept) > max(min(KEPT_STATES, KEPT_BYTES // (self._kept[-1].size + 1)), 2):
            del self._kept[1:-1:2]

    def _differ(self, player: Player, state: State) -> bool:
        return any(
            not torch.equal(value, self._base.get(name, value))
            for name, value in state.items()
            if self._player(name) == player
        )

    def _mixed(self, moved: frozenset[Player], state: State) -> State:
        """The present values, but for the parameters of those who have not moved."""
        return {
            name: value if self._player(name) in moved else self._base.get(name, value)
            for name, value in state.items()
            if self._player(name) is not None
        }

    def _player(self, name: str) -> Player | None:
        return PLAYER_OF_ROLE.get(self.roles.get(name, "none"))
