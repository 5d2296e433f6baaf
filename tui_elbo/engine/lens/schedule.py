"""When to look at a run through the lens, and what comes of it.

By hand each step is looked at, as long as that takes no more than a second for one command;
running freely, what looks cost the run stays under a fiftieth of its time. A look happens in a
forked copy of the process, so its cost is the fork, the copies of the parameters, and the page
faults after it. A thread waits for the answer; the run does not.
"""

from __future__ import annotations

import math
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tui_elbo.engine.lens import InitialParams, Lens, Settled, State
from tui_elbo.engine.lens.attribution import Attribution, StateRequest, blind
from tui_elbo.engine.lens.fork import (
    Call,
    LookError,
    LookLostError,
    Progress,
    fault_seconds,
    in_thread,
)
from tui_elbo.engine.lens.gradients import ParamGradients, param_gradients
from tui_elbo.engine.lens.importance_weights import importance_bound
from tui_elbo.engine.lens.posterior_draws import draw_posterior
from tui_elbo.engine.lens.subject import Followed
from tui_elbo.engine.noise.gradient_noise import gradient_noise, measured_run
from tui_elbo.engine.record.options import Budget
from tui_elbo.engine.verdict.averaging import gained
from tui_elbo.engine.verdict.probe import judge, judged
from tui_elbo.model.attribution import LensPoint
from tui_elbo.model.averaging import AverageTaken
from tui_elbo.model.bound import ImportanceBound, no_bound
from tui_elbo.model.noise import NoiseTable, unmeasured
from tui_elbo.model.records import Batch, Role
from tui_elbo.model.verdict import LEAST_STEPS, NATS, Estimate, Tolerance, Verdict, cannot_tell
from tui_elbo.protocol import (
    AverageMeasured,
    ComputeGradients,
    ComputeImportanceBound,
    DrawPosterior,
    EngineBusy,
    Event,
    GradientsComputed,
    ImportanceBoundComputed,
    JudgeRun,
    LensPointAdded,
    NoiseMeasured,
    PosteriorDrawn,
    VerdictReached,
)
from tui_elbo.protocol.codec import decode

SHARE = 1 / 50
"""Of the time that steps take, what looks may cost the run."""

LONGEST_JUDGING = 10.0
"""Seconds after which, while running, a verdict or an examination gives way to looks; it comes at
the next stop."""

RESTS = 12.0
"""While running, no copy is at work for so many times as long as the last one was: the run and the
screen need the processors."""

BY_HAND = 1.0
"""Seconds that the looks at steps taken by hand may last, for one command."""

LONGEST_PATH = 1.0
"""Seconds of its own time after which a look cuts the way since the one before no further."""

LEAST_SILENCE, USUAL_LOOKS, FIRST_STEPS = 2.0, 10.0, 50.0
"""A copy is ended after so many seconds without progress, or so many times the usual look, or, as
long as none is known, so many steps; whichever is longest."""

TRIES = 3
"""After so many copies in a row that were lost, the lens says why."""

DOUBLED = 2.0
"""While running, a run is judged whenever it is so many times as long."""

WENT_ON = "it was broken off, since the run went on"
"""Why what was measured of a state has no answer."""

SHOWN_AFTER = 0.5
"""Seconds after which the progress of a look is shown, when the run stands still."""


@dataclass(frozen=True, eq=False)
class Examine:
    """Something that the rules on a running run want to know."""

    work: Callable[[Lens, dict[str, Role], Progress], Any]
    """Is called in the copy with a lens that has looked already."""
    take: Callable[[bytes], None]
    """Receives what it answers."""


@dataclass(frozen=True, eq=False)
class MeasureAverage:
    """What has going to the mean of the iterates gained?"""

    before: State
    after: State
    taken: AverageTaken
    """All but that."""


@dataclass(frozen=True, eq=False)
class Measure:
    """Something about the present state that takes its time; given up once the run goes on."""

    words: str
    """What is being done, such as `measuring the noise`."""
    work: Callable[[Progress], Any]
    """Is called in the copy."""
    take: Callable[[bytes], None]
    """Receives what it answers."""
    lost: Callable[[str], None]
    """Receives why there is no answer, in words."""
    patience: float
    """Seconds without progress after which it is given up."""


Question = (
    Measure
    | ComputeImportanceBound
    | ComputeGradients
    | DrawPosterior
    | JudgeRun
    | Examine
    | MeasureAverage
)


class LensScheduler:
    """Follows one run at a time; none at first, and none that has no lens.

    The run's thread calls everything but `_wait`, which is the thread of a look under way.

    Args:
        send: takes the events, from any thread.
        wake: called when an answer has come.
    """

    def __init__(
        self,
        send: Callable[[Event], None],
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        self._send, self._wake = send, wake
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._ended.set()
        self._run: Followed
        self._attribution: Attribution | None = None
        self._refusal, self._tolerance = "", NATS
        self.patient = False
        """Whether somebody waits for the verdict, however long it takes."""
        self._questions: deque[Question] = deque()
        self._call: Call | None = None
        self._examining = False
        self._measure: Measure | None = None
        self._generation = 0
        self._reset()

    def _reset(self) -> None:
        self._due = self._previous = self._standing = False
        self._last, self._lost, self._by_hand = -1, 0, 0.0
        self._budget = Budget(SHARE)
        self._usual = self._step_seconds = self._rests_until = 0.0
        self._usual_faults = math.nan
        self._mark: tuple[int, int] | None = None
        self._judge, self._judging, self._judged = False, False, -1
        self._judging_since = 0.0
        self._verdict: Verdict | None = None

    # What the run's thread asks.

    @property
    def busy(self) -> bool:
        """Whether a look is under way."""
        return self._call is not None

    @property
    def follows(self) -> bool:
        """Whether there is a run to look at, and a lens to do it with."""
        return self._attribution is not None

    @property
    def settled(self) -> Verdict | None:
        """The newest verdict, if it says that going on would gain nothing; else None."""
        verdict = self.verdict
        return verdict if verdict is not None and verdict.done else None

    @property
    def verdict(self) -> Verdict | None:
        """The newest verdict on the run with its settings of now; None if there is none."""
        verdict = self._verdict
        holds = verdict is not None and verdict.step > self._run.iterates.begin
        return verdict if holds else None

    @property
    def owed(self) -> bool:
        """Whether `start` has something to do."""
        if self._refusal:
            return bool(self._questions)
        ready = self._due or self._judge or bool(self._questions)
        return self._attribution is not None and self._call is None and ready

    @property
    def may_examine(self) -> bool:
        """Whether the rules may ask for an examination: not while another one is to come, and
        while running only in the time that looks have.
        """
        with self._lock:
            asked = self._examining or any(isinstance(one, Examine) for one in self._questions)
            rested = time.monotonic() >= self._rests_until and self._budget.at(0)
            return self._attribution is not None and not asked and (self._standing or rested)

    @property
    def each(self) -> bool:
        """Whether to look at each step, when they are taken by hand."""
        return self._attribution is not None and self._by_hand < BY_HAND

    def wait(self, seconds: float) -> None:
        """Wait until the look under way has ended, for so many seconds at most."""
        self._ended.wait(seconds)

    def follow(
        self,
        run: Followed,
        draws: int | None,
        initial_params: InitialParams | None = None,
        *,
        in_process: bool = False,
        tolerance: Tolerance = NATS,
    ) -> None:
        """Follow a run that stands at step 0.

        Args:
            run: the run.
            draws: of the lens; None: its own default; 0: there is none.
            initial_params: as for `Attribution`.
            in_process: where the process cannot be forked, look inside it.
            tolerance: of the verdict: what does not matter.
        """
        with self._lock:
            self._end()
            self._run, self._tolerance = run, tolerance
            if draws != 0:
                self._attribution = Attribution(run, draws, initial_params, in_process=in_process)
                self._attribution.path_seconds = LONGEST_PATH

    def refuse(self, run: Followed, why: str) -> None:
        """Follow it no longer, and say once why nothing can be seen; questions get that answer."""
        with self._lock:
            if self._refusal != why:
                self._end()
                self._run, self._refusal = run, why
                self._send(LensPointAdded(blind(run.steps_taken, (), why)))

    def leave(self) -> None:
        """Follow it no longer; what is under way is dropped."""
        with self._lock:
            self._end()
            self._questions.clear()

    def _end(self) -> None:
        self._drop()
        if self._attribution is not None:
            self._attribution.close()
        self._attribution, self._refusal = None, ""
        self._reset()

    def asked(self) -> None:
        """Steps have been asked for by hand."""
        self._by_hand = 0.0

    def learn(self, batches: Sequence[Batch]) -> None:
        """Take note of what was recorded of steps."""
        if self._attribution is not None:
            self._attribution.learn(batches)

    def stepped(
        self, steps: int, seconds: float, *, by_hand: bool, spacing: float = DOUBLED
    ) -> None:
        """Steps have been taken.

        Args:
            steps: how many.
            seconds: how long they took.
            by_hand: whether they were asked for one by one.
            spacing: by so many times the run has to grow to be judged again.
        """
        if self._attribution is None:
            return
        with self._lock:
            self._give_up_measuring()
            self._step_seconds = seconds / max(steps, 1)
            self._standing = self._previous = False
            self._budget.took(0.0, seconds)
            rested = time.monotonic() >= self._rests_until
            self._due = self.each if by_hand else rested and self._budget.at(0)
            self._judge = not by_hand and self._grown(spacing)
            long = time.monotonic() - self._judging_since > LONGEST_JUDGING
            slow = self._judging or self._examining
            if slow and (by_hand or (self._due and long)):
                # Who waits for a look goes before the rules, which ask again.
                self._drop()
            if self._due and by_hand and self._call is not None:
                self._attribution.keep_state()

    def stands(self) -> None:
        """The run stands still now: whoever looks wants to see this step, and what its record was
        drawn from.
        """
        if self._attribution is not None:
            with self._lock:
                if not self._standing:
                    # The rules ask again, and then look at this step.
                    if self._examining:
                        self._drop()
                    self._questions = deque(
                        one for one in self._questions if not isinstance(one, Examine)
                    )
                self._standing = True
                self._due = self._last != self._run.steps_taken > 0
                self._previous = self._due
                self._judge = self._judged != self._run.steps_taken > 0

    def travelled(self, common: int) -> None:
        """The run stands elsewhere; what was seen holds up to the step `common`."""
        if self._attribution is not None:
            with self._lock:
                self._drop()
                self._give_up_measuring()
                self._questions = deque(
                    one for one in self._questions if not isinstance(one, MeasureAverage)
                )
                self._last = self._attribution.go_back(common)
                self._judged, self._verdict = -1, None
                self.stands()

    def failed(self) -> None:
        """A step failed: the run stands at the step before it."""
        with self._lock:
            self._questions.clear()
            self.stands()

    def rest(self) -> None:
        """Nobody looks any more: what is due, asked or under way is dropped."""
        with self._lock:
            self._drop()
            self._due = self._judge = False
            self._refusal = ""
            self._questions.clear()

    def measure_noise(self, seconds: float) -> None:
        """Measure the noise of the gradient with each estimator, where the run stands."""
        attribution = self._attribution
        step = 0 if attribution is None else self._run.steps_taken

        def lost(why: str) -> None:
            self._send(NoiseMeasured(unmeasured(step, why)))

        if attribution is None or self._refusal:
            lost(self._refusal or "there is no lens")
            return
        if not self._run.sound:
            lost("the last step has failed")
            return
        run = measured_run(self._run, attribution, seconds)
        self.ask(
            Measure(
                "measuring the noise of the gradient",
                lambda progress: gradient_noise(run, progress),
                lambda data: self._send(NoiseMeasured(decode(data, NoiseTable))),
                lost,
                run.patience,
            )
        )

    @property
    def settled_lens(self) -> Settled | None:
        """How the lens draws; None before it has looked, and where there is none."""
        return None if self._attribution is None else self._attribution.settled_or_none

    def ask(self, question: Question) -> None:
        """Something is asked of the present step; nothing before the first."""
        if self._attribution is None and isinstance(question, Measure):
            question.lost(self._refusal or "there is no lens")
            return
        if isinstance(question, Measure) and self._measures(question.words):
            return
        began = self._attribution is None or self._run.steps_taken
        if began or isinstance(question, Measure):
            with self._lock:
                if not isinstance(question, Examine):
                    self._make_way()
            self._questions.append(question)

    def start(self) -> None:
        """Start the look that is due, else what was asked."""
        attribution = self._attribution
        while self._refusal and self._questions:
            self._cannot_answer(self._questions.popleft(), self._refusal)
        if attribution is None or self._call is not None:
            return
        with self._lock:
            step = self._run.steps_taken
            if self._due:
                self._due = False
                wanted = attribution.request(previous=self._previous)
                if wanted:
                    self._begin(
                        lambda progress: attribution.work(wanted, progress),
                        lambda data: self._seen(attribution, wanted, data),
                        self._try_again,
                    )
            elif self._questions and not self._verdict_goes_first:
                self._answer(attribution, self._questions.popleft())
            elif self._judge:
                self._judge = False
                self._start_judging(attribution, step)

    @property
    def _verdict_goes_first(self) -> bool:
        """A verdict goes before the rules, which take longer; a run may be to end with it."""
        return self._judge and all(isinstance(one, Examine) for one in self._questions)

    # The verdict.

    def _grown(self, spacing: float) -> bool:
        """Whether the run is so many times as long as when it was judged last."""
        step, begin = self._run.steps_taken, self._run.iterates.begin
        last = self._judged - begin
        return step - begin >= (spacing * last if last >= LEAST_STEPS else LEAST_STEPS)

    def _start_judging(self, attribution: Attribution, step: int) -> None:
        self._judged, self._judging_since = step, time.monotonic()
        run = judged(attribution, self._run, self._tolerance, patient=self.patient)
        if step - self._run.iterates.begin < LEAST_STEPS:
            self._reached(judge(run))
            return

        def lost(why: str) -> None:
            self._reached(cannot_tell(step, f"the lens cannot look: {why}"))

        self._begin(
            lambda progress: judge(run, progress),
            lambda data: self._reached(decode(data, Verdict)),
            lost,
            judging=True,
        )

    def _reached(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._send(VerdictReached(verdict))

    def _make_way(self) -> None:
        """Judge later: something else is wanted first; so are the rules, which ask again."""
        if self._judging:
            self._drop()
            self._judged, self._judge = -1, True
        elif self._examining:
            self._drop()

    def _measures(self, words: str) -> bool:
        """Whether this is being measured already, or about to be."""
        waiting = [one for one in (self._measure, *self._questions) if isinstance(one, Measure)]
        return any(one.words == words for one in waiting)

    def _give_up_measuring(self) -> None:
        """The run has gone on: what was to be measured is not its present state any more."""
        if self._measure is not None:
            self._drop()
        waiting = [one for one in self._questions if isinstance(one, Measure)]
        if waiting:
            kept = (one for one in self._questions if not isinstance(one, Measure))
            self._questions = deque(kept)
        for one in waiting:
            one.lost(WENT_ON)

    # A look under way.

    def _begin(
        self,
        work: Callable[[Progress], Any],
        take: Callable[[bytes], None],
        lost: Callable[[str], None],
        *,
        judging: bool = False,
        measure: Measure | None = None,
    ) -> None:
        assert self._attribution is not None
        began = time.perf_counter()
        self._count_faults(steps_on=True)
        try:
            call = self._attribution.call(work)
        except LookLostError as error:
            lost(str(error))
            return
        self._call, self._judging, self._measure = call, judging, measure
        self._ended.clear()
        self._budget.took(time.perf_counter() - began, 0.0)
        silence = max(LEAST_SILENCE, USUAL_LOOKS * self._usual, FIRST_STEPS * self._step_seconds)
        words = "judging the run: look" if judging else "the lens looks: draw"
        if measure is not None:
            words, silence = f"{measure.words}:", max(silence, measure.patience)
        own = judging or measure is not None
        generation = self._generation
        rules = self._examining
        if rules:
            words = "the lens looks for the rules: part"
        in_thread(
            lambda: self._wait(
                call, generation, silence, take, lost, words=words, own=own, rules=rules
            )
        )

    def _wait(
        self,
        call: Call,
        generation: int,
        silence: float,
        take: Callable[[bytes], None],
        lost: Callable[[str], None],
        *,
        words: str,
        own: bool,
        rules: bool,
    ) -> None:
        """Wait for an answer.

        Args:
            call: what is under way.
            generation: that it belongs to.
            silence: seconds without progress after which it is ended.
            take: receives the answer.
            lost: receives why there is none.
            words: what is being done.
            own: whether it is no look, and reports an error itself.
            rules: whether the rules examine the run.
        """
        began = time.monotonic()
        shown = False

        def stop() -> bool:
            nonlocal shown
            done, of = call.progress
            if self._standing and time.monotonic() - began > SHOWN_AFTER:
                shown = True
                counted = f"{words} {done} of {of}" if of else words.partition(":")[0]
                self._send(EngineBusy(counted))
            return generation != self._generation

        data, why, error = b"", "", ""
        try:
            data = call.wait(silence, stop)
        except LookLostError as gone:
            why = str(gone)
        except LookError as raised:
            error = str(raised)
        with self._lock:
            if generation != self._generation:
                if shown:
                    self._send(EngineBusy(""))
                return
            seconds = time.monotonic() - began
            if not (own or rules):
                self._usual = max(seconds, 0.7 * self._usual)
                self._rests_until = time.monotonic() + RESTS * seconds
                self._by_hand += seconds
            self._count_faults(steps_on=False)
            if shown:
                self._send(EngineBusy(""))
            try:
                if why:
                    lost(why)
                elif error and own:
                    lost(error)
                elif error:
                    self._give_up(f"The lens cannot look: {error}")
                else:
                    self._lost = 0
                    take(data)
            except Exception as broken:
                self._give_up(f"The lens cannot look: {type(broken).__name__}: {broken}")
            self._call, self._judging, self._examining = None, False, False
            self._measure = None
            self._ended.set()
        self._wake()

    def _drop(self) -> None:
        """Whatever is under way does not count any more; its thread ends the copy."""
        self._generation += 1
        measure, self._measure = self._measure, None
        self._call, self._judging, self._examining = None, False, False
        self._ended.set()
        if measure is not None:
            measure.lost(WENT_ON)

    def _seen(self, attribution: Attribution, wanted: Sequence[StateRequest], data: bytes) -> None:
        points = attribution.take(wanted, data)
        if points is None:
            self._due = True
            return
        for point in points:
            self._emit(attribution, point)
        if attribution.incomparable:
            self._stop_looking()

    def _try_again(self, why: str) -> None:
        self._lost += 1
        if self._lost < TRIES:
            self._due = True
        else:
            self._give_up(f"The lens cannot look: {why}")

    def _give_up(self, note: str) -> None:
        """Say why there is nothing to be seen, in the place of what is seen."""
        if self._attribution is not None:
            point = blind(self._run.steps_taken, self._attribution.players, note)
            self._emit(self._attribution, point)
        self._lost = 0
        self._stop_looking(answer=note)

    def _stop_looking(self, answer: str = "") -> None:
        self._due = False
        while answer and self._questions:
            self._cannot_answer(self._questions.popleft(), answer)

    def _emit(self, attribution: Attribution, point: LensPoint) -> None:
        latents, points = attribution.latents
        posterior = attribution.posterior if point.draws else {}
        self._send(
            LensPointAdded(
                replace(point, latents=len(latents), delta_latents=len(points), posterior=posterior)
            )
        )
        self._last = point.state

    def _count_faults(self, *, steps_on: bool) -> None:
        """Charge the page faults that a copy has caused, beyond those that the steps have anyway.

        Args:
            steps_on: a copy is about to be made; else one has just ended.
        """
        steps = self._run.steps_taken
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        if self._mark is not None and steps > self._mark[0]:
            taken = steps - self._mark[0]
            rate = (faults - self._mark[1]) / taken
            if steps_on:
                known = not math.isnan(self._usual_faults)
                self._usual_faults = min(rate, self._usual_faults) if known else rate
            elif not math.isnan(self._usual_faults):
                extra = max(0.0, rate - self._usual_faults) * taken
                self._budget.took(extra * fault_seconds(), 0.0)
        self._mark = steps, faults

    # What was asked.

    def _answer(self, attribution: Attribution, question: Question) -> None:
        step, scenario = self._run.steps_taken, self._run.scenario
        if isinstance(question, JudgeRun):
            self._start_judging(attribution, step)
            return
        if isinstance(question, Measure):
            self._begin(question.work, question.take, question.lost, measure=question)
            return
        lens, roles = attribution.lens(), attribution.roles
        if attribution.incomparable:
            self._cannot_answer(question, attribution.incomparable)
        elif isinstance(question, ComputeImportanceBound):
            draws = question.draws
            self._ask(
                question,
                lambda progress: importance_bound(scenario, draws=draws, report=progress),
                lambda data: self._send(
                    ImportanceBoundComputed(step, decode(data, ImportanceBound))
                ),
            )
        elif isinstance(question, Examine):
            examine = question.work
            self._examining, self._judging_since = True, time.monotonic()
            self._ask(question, lambda progress: examine(lens, roles, progress), question.take)
        elif isinstance(question, MeasureAverage):
            asked = question
            self._ask(
                asked,
                lambda _: gained(lens, asked.before, asked.after),
                lambda data: self._send(
                    AverageMeasured(replace(asked.taken, gain=decode(data, Estimate)))
                ),
            )
        elif isinstance(question, DrawPosterior):
            count = question.count
            self._ask(
                question,
                lambda progress: draw_posterior(self._run, count, progress),
                lambda data: self._send(decode(data, PosteriorDrawn)),
            )
        else:
            since = question.since
            self._ask(
                question,
                lambda _: (*attribution.changes(since), param_gradients(lens, roles)),
                lambda data: self._send_gradients(
                    step, *decode(data, tuple[int, dict[str, float], dict[str, ParamGradients]])
                ),
            )

    def _ask(
        self,
        question: Question,
        work: Callable[[Progress], Any],
        take: Callable[[bytes], None],
    ) -> None:
        def lost(why: str) -> None:
            self._lost += 1
            if self._lost < TRIES:
                self._questions.appendleft(question)
            else:
                self._lost = 0
                self._cannot_answer(question, f"the lens cannot look: {why}")

        self._begin(work, take, lost)

    def _send_gradients(
        self, step: int, start: int, changes: dict[str, float], found: dict[str, ParamGradients]
    ) -> None:
        order = sorted(changes, key=lambda name: -changes[name])
        rows = [_row(changes[name], found.get(name)) for name in order]
        reasons, values = tuple(reason for reason, _ in rows), [numbers for _, numbers in rows]
        table = np.array(values).reshape(len(order), 7)
        self._send(GradientsComputed(step, start, tuple(order), reasons, table))

    def _cannot_answer(self, question: Question, why: str) -> None:
        step = self._run.steps_taken
        match question:
            case Measure():
                question.lost(why)
            case JudgeRun():
                self._send(VerdictReached(cannot_tell(step, why)))
            case DrawPosterior():
                self._send(PosteriorDrawn(step, 0, (), why))
            case ComputeGradients():
                self._send(GradientsComputed(step, question.since, (), (), np.empty((0, 7))))
            case Examine():
                pass
            case MeasureAverage():
                self._send(AverageMeasured(replace(question.taken, note=why)))
            case ComputeImportanceBound():
                self._send(ImportanceBoundComputed(step, no_bound(0, why)))


def _row(change: float, pulls: ParamGradients | None) -> tuple[str, list[float]]:
    """Why there are no gradients, and the numbers."""
    if pulls is None:
        return "the lens could not look", [change, *[math.nan] * 6]
    numbers = [change]
    for one in (pulls.log_p, pulls.log_q, pulls.elbo):
        numbers += [math.nan, math.nan] if one is None else [one.norm, one.snr]
    return pulls.reason, numbers
