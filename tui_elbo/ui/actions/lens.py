"""What the keys of the lens do: the span of the accounts, the mark, who in particular, weights."""

from __future__ import annotations

from textual.timer import Timer

from tui_elbo.client.spans import Span, unseen
from tui_elbo.model.sentences import choose_sentence
from tui_elbo.ui.actions.actions import Actions
from tui_elbo.ui.panes.sentence import SentenceLine
from tui_elbo.ui.views.breakdown import WhoView

SETTLED = 2.0
"""Seconds that a run stands still before importance weights are taken unasked."""

SPANS = {
    "start": "what moved it since step 0",
    "mark": "what moved it since the mark; m clears it",
    "look": "what moved it from the step looked at to the newest",
    "record": "what moved it from the record before to the last one",
    "update": "what the newest update did",
}


class LensActions(Actions):
    """The methods of these keys; who draws is the subclass."""

    def __init__(self) -> None:
        super().__init__()
        self._settling: Timer | None = None
        self._weighed = 0

    def action_span(self) -> None:
        """Show the accounts of the next span."""
        kind = self.desk.spanning.next(self.looking.at)
        span = self._span()
        late = kind == "start" and span is not None and span.start.state
        self._answer(f"what moved it {span.words}" if span and late else SPANS[kind])
        self.redraw()

    def action_mark(self) -> None:
        """Mark the step shown, or clear the mark."""
        step = self.looking.step(self.session.run.step)
        if not step:
            self._answer("there is no step to mark yet: n takes one")
            return
        marked = self.desk.spanning.toggle(step)
        self._answer(f"step {step} is marked: what has moved since" if marked else "no mark")
        self.redraw()

    def action_who(self) -> None:
        """Show who in particular moved it."""
        if self.session.options.draws == 0:
            self._answer("there is no lens: it was started with --draws 0")
            return
        span = self._span()
        if span is not None and not self.session.run.dead:
            self.session.control.pull(span.start.state)
        self.app.push_screen(
            WhoView(self.session.run, self._span, ascii=self.session.options.ascii)
        )

    def on_accounts_pane_opened(self) -> None:
        """Likewise, from the accounts."""
        self.action_who()

    def action_weigh(self) -> None:
        """Take importance weights now."""
        run = self.session.run
        if self.session.options.draws == 0:
            self._answer("there is no lens: it was started with --draws 0")
        elif not run.step:
            self._answer("there is nothing to weigh yet: n takes a step")
        elif self._moves():
            self._weigh()
            self._answer("weighing draws of the guide")

    def draw_sentence(self, now: float, *, live: bool) -> None:
        """Say what moved, in words.

        Args:
            now: seconds, by a monotonic clock.
            live: the run goes on.
        """
        self.query_one(SentenceLine).show(self._sentence(), now, live=live)
        self._settle(live=live)

    def _sentence(self) -> str:
        run = self.session.run
        if run.loaded is None:
            failed = run.level is not None and run.level.state == "failed"
            return "Nothing is loaded. When the scenario is mended, R loads it." if failed else ""
        if self.session.options.draws == 0:
            return "There is no lens (--draws 0), so nothing is said of what moved log p."
        span = self._span()
        if span is not None:
            return choose_sentence(span.summary).text
        why = unseen(run, self.looking.step(run.step))
        if why:
            return f"{why[:1].upper()}{why[1:]}."
        if self.session.watched:
            return (
                "Once two steps have seen the same data it is said here what moved log p, log q "
                "and the ELBO."
            )
        return "After the first step it is said here what moved log p, log q and the ELBO."

    def _span(self) -> Span | None:
        """The span that the accounts show."""
        run = self.session.run
        step = self.looking.step(run.step)
        return self.desk.spanning.span(run, step if step < run.step else None)

    def _settle(self, *, live: bool) -> None:
        """Where no evidence is known, have draws weighed once the run has stood still."""
        run = self.session.run
        if self._settling is not None:
            self._settling.stop()
            self._settling = None
        asked = self._weighed == run.step
        if live or asked or not run.step or run.dead or self.session.options.draws == 0:
            return
        if run.loaded is not None and "log_evidence" not in run.loaded.reference:
            self._settling = self.set_timer(SETTLED, self._weigh)

    def _weigh(self) -> None:
        self._weighed = self.session.run.step
        self.session.control.weigh()
