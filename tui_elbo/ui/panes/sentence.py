"""The plain sentence: what moved, in words, always on the screen."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from textual.events import Resize

from tui_elbo.client.session import Session
from tui_elbo.client.spans import Span, unseen
from tui_elbo.model.findings import Finding
from tui_elbo.model.sentences import choose_sentence
from tui_elbo.model.text import safe
from tui_elbo.protocol.run_state import RunState
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.text import left
from tui_elbo.ui.style.theme import BAD, WARN
from tui_elbo.ui.widgets.status import BottomLine
from tui_elbo.ui.widgets.text_lines import Line

WIDE = 160
"""Columns from which on each sentence has room in one row."""

LOOKS = "the lens looks"
"""So begins what the engine says of a look under way."""

MOST, ROOMY = 4, 24
"""A finding takes up to so many rows, where the screen has at least this many."""

KEY_OF_FINDINGS = "F"
"""The key that lists all findings."""

BEHIND = 0.1
"""A sentence that is older than this share of the steps says of which step it is."""

EVERY = 1.0
"""Seconds from one sentence to the next while running: nobody reads faster."""


class SentenceLine(BottomLine):
    """A sentence in one row or two."""

    DEFAULT_CSS = "SentenceLine { height: 2; }"

    def __init__(self, *, id: str = "sentence", ascii: bool = False) -> None:
        super().__init__(id=id, ascii=ascii)
        self._text, self._next = "", 0.0
        self._verdict: tuple[str, ...] = ()
        self._finding: Finding | None = None

    def show_finding(self, finding: Finding | None) -> None:
        """Show an error or a warning in the place of the sentence; None: the sentence."""
        if finding != self._finding:
            self._finding = finding
            self._fit(self.app.size.width)
            self.paint()

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
        """The sentence wrapped into the rows that there are; of a finding, its remedy last."""
        if self._finding is not None:
            return finding_lines(self._finding, width, max(1, self.size.height), self.glyphs)
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
        self._fit(event.size.width)
        self.paint()

    def _fit(self, width: int) -> None:
        """Take the rows that are needed."""
        rows = 1 if width >= WIDE else 2
        if self._finding is not None:
            most = MOST if self.app.size.height >= ROOMY else 2
            message, hint = _wrapped(self._finding, width, self.glyphs)
            rows = min(most, len(message) + len(hint))
        self.styles.height = rows


def finding_lines(finding: Finding, width: int, rows: int, glyphs: Glyphs) -> list[Line]:
    """A finding in so many rows: what is wrong first, then what to do.

    Args:
        finding: what was found.
        width: in cells.
        rows: at least one.
        glyphs: of the terminal.
    """
    message, hint = _wrapped(finding, width, glyphs)
    room = max(1, rows - min(len(hint), max(1, rows // 2)) * (rows > 1))
    texts = [*_cut(message, room), *_cut(hint, rows - room)]
    style = BAD if finding.level == "error" else WARN
    styles = [style] * min(len(message), room) + [""] * rows
    shown = [*texts, *[""] * (rows - len(texts))][:rows]
    return [
        [(left(f" {text}", width, glyphs.more), one)]
        for text, one in zip(shown, styles, strict=False)
    ]


def _wrapped(finding: Finding, width: int, glyphs: Glyphs) -> tuple[list[str], list[str]]:
    """The rows of what is wrong, and those of what to do."""
    head = f"{finding.level} {finding.code}: {finding.message}."
    hint = f"{_begun(finding.hint)}." if finding.hint else ""
    texts = (glyphs.plain(safe(text)) for text in (head, f"{hint} ({KEY_OF_FINDINGS}: more)"))
    message, remedy = (textwrap.wrap(text.strip(), max(10, width - 2)) for text in texts)
    return message, remedy


def _begun(text: str) -> str:
    """As a sentence begins; code such as `pyro.param` keeps its letters."""
    first = text.split(maxsplit=1)[0]
    return f"{text[:1].upper()}{text[1:]}" if first.rstrip(",:;").isalpha() else text


def _cut(rows: list[str], room: int) -> list[str]:
    return [*rows[: room - 1], " ".join(rows[room - 1 :])] if room > 0 else []


def shown_finding(run: RunState) -> Finding | None:
    """The gravest error or warning that stands; None if there is none."""
    return next((one for one in run.findings if one.level != "note"), None)


def verdict_texts(run: RunState, step: int) -> tuple[str, ...]:
    """Whether the run is done, said of the step that is shown and of no other; else nothing.

    Where the run has been taken to the mean of its iterates, that, and what it gained.
    """
    verdict, average = run.verdict, run.average
    if average is not None and average.step == step == run.step:
        return average.text, average.brief
    if verdict is None or verdict.step != step:
        return ()
    return verdict.text, verdict.brief, f"{verdict.words.capitalize()}: {KEY_OF_FINDINGS} has more."


def _dated(text: str, span: Span, step: int) -> str:
    """With the steps that it speaks of, where those are not all up to the one shown."""
    begin, seen = span.start.state, span.end.state
    if begin:
        return f"From step {begin} to {seen}: {text}"
    return text if step - seen <= max(1, step * BEHIND) else f"Up to step {seen}: {text}"


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
        return _dated(choose_sentence(span.summary).text, span, step)
    why = unseen(run, step)
    if why:
        cause = why.partition(": ")[2][:60]
        if cause and run.fault is not None and cause in run.fault.what:
            return "The lens cannot look here: model or guide raises the error below."
        return f"{why[:1].upper()}{why[1:]}."
    when = "After the first step" if not run.step else "Once the lens has looked"
    if run.phase.startswith(LOOKS):
        when = "The lens is looking: then"
    elif session.watched:
        when = "After some steps"
    return f"{when} this line says what moved log p, log q and the ELBO."
