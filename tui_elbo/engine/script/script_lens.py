"""The lens on a script's own loop.

Looks are asked for by the script's thread, before a step, and only while somebody is there to see
them: within the budget of `LensScheduler` while it runs, each step by hand. They happen in a forked
copy of the script's process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from tui_elbo.engine.lens.attribution import blind
from tui_elbo.engine.lens.schedule import LensScheduler, Question
from tui_elbo.engine.script.step_arguments import ScriptSubject
from tui_elbo.engine.script.step_recorder import StepRecorder
from tui_elbo.engine.tracebacks import said
from tui_elbo.model.bound import no_bound
from tui_elbo.model.records import Batch
from tui_elbo.model.verdict import cannot_tell
from tui_elbo.protocol import (
    ComputeGradients,
    ComputeImportanceBound,
    DrawPosterior,
    Event,
    GradientsComputed,
    ImportanceBoundComputed,
    JudgeRun,
    LensPointAdded,
    PosteriorDrawn,
    VerdictReached,
)


class ScriptLens:
    """Looks at a script while it has a terminal.

    Args:
        script: what is looked at.
        reader: reads its steps.
        send: takes the events.
        attached: whether there is a terminal.
        wake: called from another thread when an answer has come.
        in_process: look without a fork where none can be used.
    """

    def __init__(
        self,
        script: ScriptSubject,
        reader: StepRecorder,
        send: Callable[[Event], None],
        attached: Callable[[], bool],
        wake: Callable[[], object],
        *,
        in_process: bool,
    ) -> None:
        self._script, self._reader, self._send, self._attached = script, reader, send, attached
        self._scheduler, self._in_process = LensScheduler(send, wake), in_process
        self._questions: deque[Question] = deque()
        self.seen = False
        """Whether somebody is there, or was, and what that left behind has not been put away."""
        self._following = False
        self._emitted = ""
        self._newest: Sequence[Batch] = ()

    # The server's thread.

    def by_hand(self) -> None:
        """Steps have been asked for by hand."""
        self._scheduler.asked()

    def ask(self, question: Question) -> None:
        """Something is to be answered as soon as the script's thread comes by."""
        self._questions.append(question)

    # The script's thread.

    def called(self, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        """A step is about to be taken with these arguments."""
        if not self._attached():
            self._rest()
            return
        self.seen = True
        try:
            self._script.called(args, kwargs)
            if self._script.unseen:
                self._refuse()
            elif self._script.known and not self._following:
                self._follow()
        except Exception as error:
            self._fail(error)

    @property
    def owed(self) -> bool:
        """Whether `look` has something to do."""
        if not self._attached() or self._reader.failed:
            return False
        asked = bool(self._questions) and (self._following or bool(self._emitted))
        return self._scheduler.owed or asked

    def look(self) -> None:
        """Start the look that is due, or what was asked."""
        try:
            while self._questions:
                self._answer(self._questions.popleft())
            self._scheduler.start()
        except Exception as error:
            self._fail(error)

    def keep_state(self, step_seconds: float) -> None:
        """A step is about to be taken: its record is drawn from the parameters of now."""
        if self._following:
            self._script.keep_state(step_seconds)

    def learn(self, batches: Sequence[Batch]) -> None:
        """These steps have been recorded."""
        self._newest = batches[-1:] or self._newest
        self._scheduler.learn(batches)

    def stepped(self, seconds: float, *, by_hand: bool) -> None:
        """Steps have been taken in so many seconds."""
        self._scheduler.stepped((), seconds, by_hand=by_hand)

    def stands(self) -> None:
        """The script is held: whoever looks wants to see this step."""
        self._scheduler.stands()

    def close(self) -> None:
        """Look no more, and keep nothing of the script's."""
        self._leave()
        self._script.forget()

    def _follow(self) -> None:
        self._scheduler.follow(self._script, None, self._reader.births, in_process=self._in_process)
        self._scheduler.learn(self._newest)
        self._following = True
        self._scheduler.stands()

    def _leave(self) -> None:
        self._scheduler.leave()
        self._following = False
        self._questions.clear()

    def _rest(self) -> None:
        """Nobody is there."""
        if self.seen:
            self.seen, self._emitted = False, ""
            self._questions.clear()
            self._scheduler.rest()
            self._script.rest()

    def _refuse(self) -> None:
        """Say once why there is nothing to be seen, in the place of what is seen."""
        why = self._script.unseen
        if self._emitted != why:
            self._scheduler.leave()
            self._following, self._emitted = False, why
            self._send(LensPointAdded(blind(self._script.steps_taken, (), why)))

    def _fail(self, error: Exception) -> None:
        self._script.refuse(f"The lens cannot look: {said(error)}")
        self._refuse()

    def _answer(self, question: Question) -> None:
        step, why = self._script.steps_taken, self._script.unseen
        match question:
            case DrawPosterior() if why:
                self._send(PosteriorDrawn(step, 0, (), why))
            case ComputeGradients() if why:
                self._send(GradientsComputed(step, question.since, (), (), np.empty((0, 7))))
            case JudgeRun() if why:
                self._send(VerdictReached(cannot_tell(step, why)))
            case ComputeImportanceBound() if why:
                self._send(ImportanceBoundComputed(step, no_bound(0, why)))
            case _:
                self._scheduler.ask(question)
