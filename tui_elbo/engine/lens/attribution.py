"""Follows a run through the lens: what each update did, and who did it.

Whatever runs the model happens in a forked copy of the process: the parent asks for a look at one
or more states (`request`, `work`), and adds up what the copy answers (`take`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tui_elbo.engine.lens import DRAWS, InitialParams, Lens, Settled, State, snapshot
from tui_elbo.engine.lens.fork import (
    Call,
    CallInProcess,
    ForkedCall,
    LookError,
    LookLostError,
    Progress,
    why_no_fork,
)
from tui_elbo.engine.lens.gradients import ParamGradients, param_gradients
from tui_elbo.engine.lens.importance_weights import DRAWS as WEIGHED
from tui_elbo.engine.lens.importance_weights import importance_bound
from tui_elbo.engine.lens.lens import LensReading
from tui_elbo.engine.lens.path import MOST_CUTS, Path, Place
from tui_elbo.engine.lens.subject import Followed, RememberedBatches
from tui_elbo.engine.record.numbers import real
from tui_elbo.engine.tracebacks import error_text
from tui_elbo.model.attribution import (
    PLAYER_OF_ROLE,
    AttributionPath,
    LensPoint,
    PathShares,
    Player,
    TermSamples,
    no_samples,
    players_of,
)
from tui_elbo.model.bound import ImportanceBound, no_bound
from tui_elbo.model.estimate import Moments
from tui_elbo.model.records import Batch, Role
from tui_elbo.protocol.codec import decode

KEPT_STATES = 64
"""Points from which a run that is taken back can go on."""

LOOPED_STATES = 4
"""Of the states kept for a look, so many are looked at where draws are taken one by one."""

LOOPED_CUTS, FEW_CUTS = 12, 3
"""So often a span is cut there at most, and where the process cannot be forked."""

KEPT_BYTES = 2**26
"""What their parameters and numbers may take, about."""

PATIENCE = 60.0
"""Seconds without progress after which a look that is waited for is given up."""

TOLERANCE = 1e-5
"""By so much of its size a term may differ when the same state is seen again: rounding."""

USED_UP = (
    "Two looks at the same parameters with the same draws differ: the model keeps state of its own "
    "that each call changes (an iterator over data, a random generator, a counter), so what moved "
    "log p cannot be computed"
)
CHANGED = (
    "The same parameters with the same draws give other terms than at an earlier step: something "
    "besides the parameters changes from step to step (an annealing weight, a running mean, a "
    "counter), so what moved log p cannot be computed"
)


@dataclass(frozen=True, eq=False)
class _PathPoint:
    path: AttributionPath
    state: State

    @property
    def size(self) -> int:
        """Bytes, about."""
        return self.path.size + sum(value.nbytes for value in self.state.values())


@dataclass(frozen=True, eq=False)
class StateLook:
    """What a copy saw of one state."""

    reading: TermSamples
    again: TermSamples | None = None
    """The state that it is compared with, seen again by the same copy; None at the first."""
    moved: PathShares | None = None
    """What those that have changed since that state have changed."""
    posterior: dict[str, Moments] | None = None
    """Of each element of each small latent."""
    note: str = ""


@dataclass(frozen=True, eq=False)
class LookAnswer:
    """What a copy answers."""

    states: tuple[StateLook, ...]
    settled: Settled | None
    """How its lens draws; None if it could not look at all."""
    pure: bool = True
    """Whether a look changes nothing that another look in the same process would see."""


@dataclass(frozen=True, eq=False)
class StateRequest:
    """A state to look at."""

    step: int
    state: State | None
    """Its unconstrained values; None: the copy finds it again by replay."""
    params: int = 0
    """How many parameters had been made by then."""


class Attribution:
    """Takes lens points of a run, and adds up along them who moved what.

    Args:
        run: followed from where it stands; what moved what is added up from there.
        draws: of the lens, where they can be taken all at once; None: `DRAWS`.
        initial_params: of its parameters, where somebody else has kept them; the run may then stand
            anywhere.
        in_process: where the process cannot be forked, look inside it; what `isolated` does not
            put back may change.
    """

    def __init__(
        self,
        run: Followed,
        draws: int | None = None,
        initial_params: InitialParams | None = None,
        *,
        in_process: bool = False,
    ) -> None:
        self.posterior: dict[str, Moments] = {}
        """Mean and standard deviation of each small latent at the newest point, (elements,)."""
        self.path_seconds = math.inf
        """For so long, of its own time, a look cuts the way between two states into pieces."""
        self._in_process = in_process
        self._run, self._draws, self._asked_draws = run, draws or DRAWS, draws or None
        self.roles: dict[str, Role] = {}
        """Who reads each parameter."""
        self._initial_params = initial_params or InitialParams(known=not run.steps_taken)
        self._path, self._base = AttributionPath(), State()
        self._kept: list[_PathPoint] = []
        self._kept_states: list[StateRequest] = []
        self._scenario: object = None
        self._settled: Settled | None = None
        self._version = self._base_version = self._base_count = 0
        self._separate = False
        self.incomparable = ""
        """Why looks at two steps cannot be compared, in words; empty while they can."""

    def close(self) -> None:
        """Follow no longer."""
        self._initial_params.close()

    @property
    def knows_beginning(self) -> bool:
        """Whether the parameters of step 0 are known."""
        return self._initial_params.known

    def lens(self) -> Lens:
        """A lens that draws as it was settled; another one after the file was executed anew."""
        if self._scenario is not self._run.scenario:
            self._scenario, self._settled = self._run.scenario, None
        return Lens(self._run.scenario, self._draws, settled=self._settled)

    def learn(self, batches: Sequence[Batch]) -> None:
        """Take note of who reads which parameter; to be given the batches of all steps."""
        if batches:
            self.roles = {info.name: info.role for info in batches[-1].layout.params}

    @property
    def initial_state(self) -> State:
        """The parameters of step 0; empty where they are not known."""
        return dict(self._initial_params.values) if self.knows_beginning else State()

    @property
    def draws(self) -> int | None:
        """Of the lens, as asked for; None: nobody has said."""
        return self._asked_draws

    @property
    def settled_or_none(self) -> Settled | None:
        """How its lens draws; None before it has looked at what the file has made last."""
        return self._settled if self._scenario is self._run.scenario else None

    @property
    def players(self) -> tuple[Player, ...]:
        """Who there is."""
        return players_of(self.roles.values())

    @property
    def latents(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The sites that the guide draws, and those of them that are points; after a point."""
        if self._settled is None:
            return (), ()
        return self._settled.kind.latents, self._settled.kind.points

    def changes(self, since: int = 0) -> tuple[int, dict[str, float]]:
        """How far each parameter has come since a state: Euclidean, unconstrained.

        Returns:
            The state from which on it is counted, which is the last before `since` of which the
            values are kept; and the changes by name.
        """
        earlier = [kept for kept in self._kept if 0 < kept.path.state <= since]
        begin = earlier[-1].state if earlier else State()
        begin = self._initial_params.completed(begin)
        changes = {
            name: float(torch.linalg.vector_norm(real(value - begin[name]).double()))
            for name, value in snapshot(self._run.own).items()
            if name in begin
        }
        return (earlier[-1].path.state if earlier else 0), changes

    # Asking for a look, in the process of the run.

    def request(self, *, previous: bool = False) -> list[StateRequest]:
        """What to look at: the present state, and what has not been seen before it.

        Args:
            previous: also the state before the newest step, which its record was drawn from.
        """
        step, params = self._run.steps_taken, len(self._initial_params.values)
        wanted = []
        if self._path.base is None and self.knows_beginning:
            wanted.append(StateRequest(0, dict(self._initial_params.values), params))
        newest = wanted[-1].step if wanted else self._last_state
        if self._settled is not None and self._settled.loop_reason:
            every = -(-len(self._kept_states) // LOOPED_STATES) or 1
            self._kept_states = self._kept_states[::every]
        wanted += [one for one in self._kept_states if newest < one.step < step]
        self._kept_states.clear()
        newest = wanted[-1].step if wanted else newest
        if previous and newest < step - 1:
            wanted.append(StateRequest(step - 1, None, params))
        if step > 0 and self._run.sound:
            state = self._initial_params.completed(snapshot(self._run.own))
            wanted.append(StateRequest(step, state, params))
        return wanted

    def keep_state(self) -> None:
        """Keep the present state, to be looked at together with a later one."""
        state = self._initial_params.completed(snapshot(self._run.own))
        self._kept_states.append(
            StateRequest(self._run.steps_taken, state, len(self._initial_params.values))
        )
        size = sum(value.nbytes for value in state.values())
        if len(self._kept_states) > max(min(KEPT_STATES, KEPT_BYTES // (size + 1)), 1):
            del self._kept_states[::2]

    @property
    def _last_state(self) -> int:
        return -1 if self._path.base is None else self._path.state

    def call(self, work: Callable[[Progress], object]) -> Call:
        """Start something that runs the person's code.

        Raises:
            LookLostError: if the process cannot be forked now.
        """
        why = why_no_fork()
        if why and not self._in_process:
            raise LookLostError(f"{why} (--lens-in-process looks without a copy)")
        return CallInProcess(work) if why else ForkedCall(work)

    def start(self, wanted: Sequence[StateRequest]) -> Call:
        """Start a look.

        Raises:
            LookLostError: if the process cannot be forked now.
        """
        return self.call(lambda progress: self.work(wanted, progress))

    def take(self, wanted: Sequence[StateRequest], data: bytes) -> list[LensPoint] | None:
        """Add up what a copy has answered.

        Returns:
            A point for each state that could be had; None if the look has to be started anew.
        """
        seen: LookAnswer = decode(data, LookAnswer)
        if not seen.pure and not self._separate and not why_no_fork():
            self._separate = True
            return None
        points = []
        self._settled = seen.settled or self._settled
        path, base = copy.copy(self._path), self._base
        for one, found in zip(wanted, seen.states, strict=True):
            if found.note and one.state is None:
                continue
            points.append(self._extend(one, found))
        if wanted[-1].state is None:
            # What comes next cannot be compared with a state of which the values are not here.
            self._path, self._base = path, base
        return points

    def _extend(self, wanted: StateRequest, seen: StateLook) -> LensPoint:
        base, version = self._path.base, 0 if self._settled is None else self._settled.version
        if base is not None and seen.again is not None:
            same = base.terms == seen.again.terms and base.units.shape == seen.again.units.shape
            if version != self._version or wanted.params != self._base_count or not same:
                self._path.rebase(seen.again)
            elif not self.incomparable and not _alike(base, seen.again):
                self.incomparable = USED_UP if self._separate else CHANGED
        if self.incomparable:
            return blind(wanted.step, self.players, self.incomparable)
        notes = ["" if self._settled is None else self._settled.loop_reason]
        if isinstance(self._run.scenario, RememberedBatches):
            notes.append(self._run.scenario.note)
        point = self._path.extend(
            wanted.step,
            seen.reading,
            self.players,
            moved=seen.moved,
            note=seen.note or "; ".join(filter(None, notes)),
        )
        self.posterior = seen.posterior or {}
        if self._path.base is seen.reading:
            self._version, self._base_count = version, wanted.params
            if wanted.state is not None:
                self._base = wanted.state
                self._keep()
        return point

    def importance_bound(self, draws: int = WEIGHED) -> ImportanceBound:
        """The importance-weighted bound at the present parameters, at once."""
        scenario = self._run.scenario
        work = lambda progress: importance_bound(scenario, draws=draws, report=progress)  # noqa: E731
        try:
            bound: ImportanceBound = decode(self.call(work).wait(PATIENCE), ImportanceBound)
        except LookError as error:
            return no_bound(0, f"the lens cannot look: {error}")
        return bound

    def gradients(self) -> dict[str, ParamGradients]:
        """The gradients of the terms at the present parameters, at once; none if not to be had."""
        lens = self.lens()
        try:
            data = self.call(lambda _: param_gradients(lens, self.roles)).wait(PATIENCE)
        except LookError:
            return {}
        found: dict[str, ParamGradients] = decode(data, dict[str, ParamGradients])
        return found

    def begin(self) -> LensPoint:
        """The point of step 0, at once; to be taken after the first step, before any other."""
        return self._at_once(self.request()[:1])[-1]

    def point(self) -> LensPoint:
        """The point of the present state, at once; with those that have to come before it."""
        return self._at_once(self.request())[-1]

    def _at_once(self, wanted: Sequence[StateRequest]) -> list[LensPoint]:
        for _ in range(3):
            try:
                points = self.take(wanted, self.start(wanted).wait(PATIENCE))
            except LookLostError as error:
                why = f"the lens sees nothing: {error}"
            except LookError as error:
                return [blind(wanted[-1].step, self.players, f"the lens sees nothing: {error}")]
            else:
                if points is not None:
                    return points
        return [blind(wanted[-1].step, self.players, why)]

    def go_back(self, step: int) -> int:
        """Forget the points after that step, when the run itself has been taken back to it.

        Returns:
            The state of the last point that still holds; what comes next is compared with it. -1
            if there is none, so that the next point is the first.
        """
        while self._kept and self._kept[-1].path.state > step:
            self._kept.pop()
        kept = self._kept[-1] if self._kept else _PathPoint(AttributionPath(), State())
        self._path, self._base = copy.copy(kept.path), kept.state
        self.incomparable = ""
        self._kept_states.clear()
        return self._last_state

    def _keep(self) -> None:
        """Keep where the path stands; every second of the older ones goes when it gets much."""
        self._kept.append(_PathPoint(copy.copy(self._path), self._base))
        if len(self._kept) > max(min(KEPT_STATES, KEPT_BYTES // (self._kept[-1].size + 1)), 2):
            del self._kept[1:-1:2]

    # Looking, in the copy.

    def work(self, wanted: Sequence[StateRequest], progress: Progress) -> LookAnswer:
        """Look at these states, one after the other; each is compared with the one before."""
        base = None
        if self._path.base is not None:
            values = self._initial_params.completed(self._base)
            base = Place(self._path.state, values, self._path.base)
        recalled = {one.step: self._recall(one.step) for one in wanted if one.state is None}
        # To recall a state may take executing the file again.
        lens = Lens(self._run.scenario, self._draws, settled=self._settled)
        lens.report = progress
        states: list[StateLook] = []
        newest = None if base is None else base.state
        for one in wanted:
            state = recalled[one.step] if one.state is None else one.state
            if state is None:
                states.append(StateLook(no_samples(), note="this state cannot be had again"))
                continue
            state = self._initial_params.completed(state)
            try:
                seen = self._look(lens, base, one.step, state, first=not states)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                seen = StateLook(no_samples(), note=f"the lens sees nothing: {error_text(error)}")
            else:
                if not seen.reading.unusable and (base is None or seen.moved is not None):
                    base = Place(one.step, state, seen.reading)
                newest = state
            states.append(seen)
        return LookAnswer(
            tuple(states), lens.settled_or_none, self._is_pure(lens, newest, states[-1])
        )

    def _is_pure(self, lens: Lens, state: State | None, seen: StateLook) -> bool:
        """Whether the newest reading comes out again."""
        if self._separate or state is None or seen.note:
            return True
        version = lens.version
        again = lens.see(state).reading
        return lens.version != version or _alike(seen.reading, again)

    def _recall(self, step: int) -> State | None:
        try:
            return self._run.state_at(step)
        except KeyboardInterrupt:
            raise
        except BaseException:
            return None

    def _look(
        self, lens: Lens, base: Place | None, step: int, state: State, *, first: bool
    ) -> StateLook:
        while True:
            version, again = lens.version, None
            if base is not None and (first or lens.version != self._base_version):
                again = self._see(lens, base.state).reading
                base = Place(base.step, base.state, again)
            sight = self._see(lens, state)
            moved = None
            if base is not None:
                moved = self._moved(lens, base, Place(step, state, sight.reading))
            if lens.version == version or base is None:
                self._base_version = lens.version
                return StateLook(sight.reading, again, moved, sight.posterior)

    def _moved(self, lens: Lens, base: Place, end: Place) -> PathShares | None:
        """What each player changed on the way from one state to the other."""
        moved = [p for p in self.players if _differ(self, p, base.state, end.state)]
        if not moved:
            return None if end.reading.unusable else PathShares({}, {})
        if len(moved) == 1:
            return PathShares.of_one(moved[0], base.reading, end.reading)
        path = Path(
            base,
            end,
            self._between(base, end),
            moved=moved,
            player=self.player,
            see=lambda state: self._see(lens, state).reading,
        )
        most = LOOPED_CUTS if lens.looped or self._separate else MOST_CUTS
        # Without a copy the run waits meanwhile.
        path.cut(FEW_CUTS if why_no_fork() else most, self.path_seconds)
        return path.shares

    def _between(self, base: Place, end: Place) -> list[tuple[int, State]]:
        """The states between two others that the run has kept, each with its step."""
        found = []
        for step, kept in self._run.iterates.states(base.step, end.step - 1):
            rest = {name: value for name, value in end.state.items() if name not in kept}
            # Not every parameter is kept; those that stand still need not be.
            if all(torch.equal(v, base.state.get(n, v)) for n, v in rest.items()):
                found.append((step, rest | kept))
        return found

    def _see(self, lens: Lens, state: State) -> LensReading:
        """One reading; in a copy of its own where a look changes what the next one would see."""
        if not self._separate:
            return lens.see(state)
        data = ForkedCall(lambda _: (lens.see(state), lens.settled)).wait(PATIENCE)
        sight: LensReading
        sight, lens.settled = decode(data, tuple[LensReading, Settled])
        return sight

    def player(self, name: str) -> Player | None:
        """Who answers for a parameter."""
        return PLAYER_OF_ROLE.get(self.roles.get(name, "none"))


def blind(step: int, players: Sequence[Player], note: str) -> LensPoint:
    """The point of a state that could not be looked at."""
    return AttributionPath().extend(step, no_samples(), players, note=note)


def _differ(attribution: Attribution, player: Player, base: State, state: State) -> bool:
    return any(
        not torch.equal(value, base.get(name, value))
        for name, value in state.items()
        if attribution.player(name) == player
    )


def _alike(one: TermSamples, other: TermSamples) -> bool:
    """Whether two readings say the same, but for rounding."""
    if one.terms != other.terms or one.units.shape != other.units.shape:
        return False
    bounds = TOLERANCE * (1.0 + np.abs(one.units).max(axis=1, initial=0.0, keepdims=True))
    with np.errstate(over="ignore", invalid="ignore"):
        same = (np.abs(one.units - other.units) <= bounds) | (one.units == other.units)
    return bool((same | (np.isnan(one.units) & np.isnan(other.units))).all())
