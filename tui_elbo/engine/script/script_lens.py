"""The lens on a script's own loop.

Looks are taken in the script's thread, before a step, and only while somebody is there to see them:
within the budget of `Onlooker` while it runs, each step by hand. A look that lasts gives way to a
command, and to the leaving of whoever wanted it. What goes wrong in a look stays there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from tui_elbo.engine.lens.posterior_draws import drawn
from tui_elbo.engine.lens.schedule import Onlooker
from tui_elbo.engine.script.step_arguments import Script
from tui_elbo.engine.script.step_recorder import Reader
from tui_elbo.engine.tracebacks import said
from tui_elbo.model.attribution import AttributionPath, no_samples
from tui_elbo.model.bound import no_bound
from tui_elbo.model.records import Batch
from tui_elbo.protocol import (
    ComputeGradients,
    ComputeImportanceBound,
    DrawPosterior,
    Event,
    GradientsComputed,
    ImportanceBoundComputed,
    LensPointAdded,
    PosteriorDrawn,
)

Question = ComputeImportanceBound | ComputeGradients | DrawPosterior


class Gaze:
    """Looks at a script while it has a terminal.

    Args:
        script: what is looked at.
        reader: reads its steps.
        send: takes the events.
        attached: whether there is a terminal.
    """

    def __init__(
        self,
        script: Script,
        reader: Reader,
        send: Callable[[Event], None],
        attached: Callable[[], bool],
    ) -> None:
        self._script, self._reader, self._send, self._attached = script, reader, send, attached
        self._onlooker = Onlooker(send, self._gives_way, settling_counts=True)
        self._questions: deque[Question] = deque()
        self._commands = self._heeded = 0
        self.seen = False
        """Whether somebody is there, or was, and what that left behind has not been put away."""
        self._following = False
        self._told = ""
        self._newest: Sequence[Batch] = ()

    # The lobby's thread.

    def heed(self) -> None:
        """A command has come: a look that lasts gives way."""
        self._commands += 1

    def by_hand(self) -> None:
        """Steps have been asked for by hand."""
        self._onlooker.asked()

    def ask(self, question: Question) -> None:
        """Something is to be told as soon as the script's thread comes by."""
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
        return self._onlooker.owed or bool(self._questions and (self._following or self._told))

    def look(self) -> None:
        """Take the look that is due, or answer what was asked."""
        self._heeded = self._commands
        try:
            if self._questions and not self._onlooker.due:
                self._answer(self._questions.popleft())
            else:
                self._onlooker.look()
        except Exception as error:
            self._fail(error)

    def learn(self, batches: Sequence[Batch]) -> None:
        """These steps have been told."""
        self._newest = batches[-1:] or self._newest
        self._onlooker.learn(batches)

    def stepped(self, seconds: float, *, by_hand: bool) -> None:
        """Steps have been taken in so many seconds."""
        self._onlooker.stepped((), seconds, by_hand=by_hand)

    def stands(self) -> None:
        """The script is held: whoever looks wants to see this step."""
        self._onlooker.stands()

    def close(self) -> None:
        """Look no more, and keep nothing of the script's."""
        self._leave()
        self._script.forget()

    def _follow(self) -> None:
        self._onlooker.follow(self._script, None, self._reader.births)
        self._onlooker.learn(self._newest)
        self._following = True
        self._onlooker.stands()

    def _leave(self) -> None:
        self._onlooker.leave()
        self._following = False
        self._questions.clear()

    def _rest(self) -> None:
        """Nobody is there."""
        if self.seen:
            self.seen, self._told = False, ""
            self._questions.clear()
            self._onlooker.failed()
            self._script.rest()

    def _refuse(self) -> None:
        """Tell once why there is nothing to be seen, in the place of what is seen."""
        why = self._script.unseen
        if self._told != why:
            self._onlooker.leave()
            self._following, self._told = False, why
            point = AttributionPath().extend(self._script.steps_taken, no_samples(), (), note=why)
            self._send(LensPointAdded(point))

    def _fail(self, error: Exception) -> None:
        self._script.refuse(f"The lens cannot look: {said(error)}")
        self._refuse()

    def _answer(self, question: Question) -> None:
        step, why = self._script.steps_taken, self._script.unseen
        match question:
            case DrawPosterior() if why:
                self._send(PosteriorDrawn(step, 0, (), why))
            case DrawPosterior():
                self._send(drawn(self._script, question.count, self._gives_way))
            case ComputeGradients() if why:
                self._send(GradientsComputed(step, question.since, (), (), np.empty((0, 7))))
            case ComputeImportanceBound() if why:
                self._send(ImportanceBoundComputed(step, no_bound(0, why)))
            case ComputeGradients() | ComputeImportanceBound():
                self._onlooker.answer(question)

    def _gives_way(self) -> bool:
        return self._commands != self._heeded or not self._attached()
