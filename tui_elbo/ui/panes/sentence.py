"""The plain sentence: what moved, in words, always on the screen."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from textual.events import Resize

from tui_elbo.client.session import Session
from tui_elbo.client.spans import Span, unseen
from tui_elbo.model.sentences import choose_sentence
from tui_elbo.model.text import safe
from tui_elbo.protocol.run_state import RunState
from tui_elbo.ui.style.text import left
from tui_elbo.ui.widgets.status import BottomLine
from tui_elbo.ui.widgets.text_lines import Line

WIDE = 160
"""Columns from which on each sentence has room in one row."""

LOOKS = "the lens looks"
"""So begins what the engine says of a look under way."""

EVERY = 1.0
"""Seconds from one sentence to the next while running: nobody reads faster."""


class SentenceLine(BottomLine):
    """A sentence in one row or two."""

    DEFAULT_CSS = "SentenceLine { height: 2; }"

    def __init__(self, *, id: str = "sentence", ascii: bool = False) -> None:
        super().__init__(id=id, ascii=ascii)
        self._text, self._next = "", 0.0
        self._verdict: tuple[str, ...] = ()

    def show(self, text: str, now: float, *, live: bool, verdict: tuple[str, ...] = ()) -> None:
        """Show a sentence.

        Args:
            text: may hold text of the user's world.
            now: seconds, by a monotonic clock.
            live: the run goes on, and other sentences will come.
            verdict: whether the run is done, from the longest to the shortest way to say it.
        """
        if (text, verdict) == (self._text, self._verdict) or (live and now < self._next):
            return
        self._text, self._verdict, self._next = text, verdict, now + EVERY
        self.paint()

    def lines(self, width: int) -> Sequence[Line]:
        """The sentence wrapped into the rows that there are."""
        rows = max(1, self.size.height)
        for verdict in (*self._verdict, ""):
            text = self.glyphs.plain(safe(f"{self._text} {verdict}".strip()))
            lines = textwrap.wrap(text, max(10, width - 2))
            if len(lines) <= rows:
                break
        last = " ".join(lines[rows - 1 :])
        shown = [*lines[: rows - 1], last][:rows]
        shown += [""] * (rows - len(shown))
        return [[(left(f" {line}", width, self.glyphs.more), "")] for line in shown]

    def on_resize(self, event: Resize) -> None:
        """One row where that is enough for any sentence."""
        self.styles.height = 1 if event.size.width >= WIDE else 2
        self.paint()


def verdict_texts(run: RunState, step: int) -> tuple[str, ...]:
    """Whether the run is done, said of the step that is shown and of no other; else nothing."""
    verdict = run.verdict
    if verdict is None or verdict.step != step:
        return ()
    return verdict.text, verdict.brief


def sentence_text(session: Session, span: Span | None, step: int) -> str:
    """What moved over a span, in words; without one, why there is no such sentence.

    Args:
        session: the run.
        span: what is attributed.
        step: the step that is shown.
    """
    run = session.run
    if run.loaded is None:
        failed = run.level is not None and run.level.state == "failed"
        return "Nothing is loaded. Fix the file, then press R." if failed else ""
    if run.loaded.capabilities.lens:
        why = run.loaded.capabilities.lens
        return f"{why[:1].upper()}{why[1:]}; so nothing is said of what moved log p."
    if span is not None:
        return choose_sentence(span.summary).text
    why = unseen(run, step)
    if why:
        cause = why.partition(": ")[2][:60]
        if cause and run.fault is not None and cause in run.fault.what:
            return "The lens cannot look here: model or guide raises the error below."
        return f"{why[:1].upper()}{why[1:]}."
    when = "After the first step"
    if run.phase.startswith(LOOKS):
        when = "The lens is looking: then"
    elif session.watched:
        when = "Once two steps have seen the same data"
    return f"{when} this line says what moved log p, log q and the ELBO."
