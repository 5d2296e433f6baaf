"""The lines at the bottom: where the run stands, what went wrong, which keys there are."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len
from textual.events import Resize

from tui_elbo.model.errors import source_line
from tui_elbo.model.text import safe
from tui_elbo.protocol import ErrorReported
from tui_elbo.ui.style.glyphs import ASCII, UNICODE, Glyphs
from tui_elbo.ui.style.text import left, number, right, tail
from tui_elbo.ui.style.theme import BAD, DIM, GOOD, KEY, WARN
from tui_elbo.ui.widgets.text_lines import Line, Piece, TextLines

if TYPE_CHECKING:
    from tui_elbo.ui.keys import Key

DEAD = "the history is kept: R reloads in a fresh engine, o shows its output"
"""What can still be done when the engine has ended."""

ENDED = "the history is kept: x exports it, o shows the output"
"""The same when it was a script."""


@dataclass(frozen=True)
class StatusSummary:
    """What the status line shows."""

    step: int = 0
    terms: tuple[tuple[str, float | None], ...] = ()
    """Names and values: `elbo`, `log q`, `log p`, in nats."""
    hints: tuple[str, ...] = ()
    """What to press next, from the longest to the shortest way to say it."""
    phase: str = ""
    """What keeps the engine from stepping, or what it looks at."""
    looks: bool = False
    """The phase is a look, which keeps nothing from stepping."""
    state: str = ""
    """As the engine calls it."""
    running: bool = False
    rate: float = 0.0
    count: str = ""
    """The count being typed."""
    dead: bool = False
    newest: int = 0
    """The newest step; `step` is before it when the past is looked at."""
    until: str = ""
    """What it runs to, in words."""
    cost: str = ""
    """What takes the most of a step, in words."""
    changed: str = ""
    """What was changed just before this step, in words."""
    marks: tuple[tuple[str, str], ...] = ()
    """What holds of the run as long as it lasts: a long and a short way to say it."""
    verdict: tuple[str, str, str] = ("", "", "")
    """Two words for whether it is done, one, and their style."""
    about: tuple[str, ...] = ()
    """The scenario, the estimator, the optimiser: shown as far as there is room."""


STATE = len(" paused ")
"""So many cells at the right are always left for the state."""


class BottomLine(TextLines):
    """Base of the lines at the bottom of the screen."""

    def __init__(self, *, id: str, ascii: bool) -> None:
        super().__init__(id=id)
        self.glyphs = ASCII if ascii else UNICODE

    def paint(self) -> None:
        """Bring the screen up to date."""
        width = self.size.width
        if self.is_mounted and width > 0:
            self.set_lines(self.lines(width))

    def lines(self, width: int) -> Sequence[Line]:
        """What to show in `width` cells."""
        raise NotImplementedError

    def on_resize(self, _event: Resize) -> None:
        """Lay the line out anew."""
        self.paint()


class StatusLine(BottomLine):
    """`step N · elbo E · log q Q · log p P`, and at the right whether it runs."""

    def __init__(self, *, id: str = "status", ascii: bool = False) -> None:
        super().__init__(id=id, ascii=ascii)
        self._status = StatusSummary()

    def show(self, status: StatusSummary) -> None:
        """Show this."""
        if status != self._status:
            self._status = status
            self.paint()

    def lines(self, width: int) -> Sequence[Line]:
        """One line."""
        return [status_line(self._status, width, self.glyphs)]


def status_line(status: StatusSummary, width: int, glyphs: Glyphs) -> Line:
    """The pieces of the status line, `width` cells together; each keeps its width as it changes.

    What cannot wait, such as a count being typed, takes the room of the last terms if need be;
    counts of errors and warnings beside the state that of some digits.
    """
    texts, style, urgent = _state(status, glyphs)
    brief = [f"looks{glyphs.more}"] if status.looks else [short for _, short in status.marks]
    widths = [
        min(map(cell_len, found)) + 2
        for some in (brief, brief[:1])
        if brief and (found := [text for text in texts if all(one in text for one in some)])
    ]
    widths.append(STATE)
    terms = list(status.terms)
    while True:
        pieces = _numbers(status, terms, width, glyphs, widths)
        room = width - sum(cell_len(text) for text, _ in pieces)
        fitting = [text for text in texts if cell_len(text) + 1 < room]
        if not terms or (room >= STATE and (fitting or not urgent)):
            break
        # log q is the difference of the others.
        terms.pop(1 if len(terms) == 3 else -1)
    text = fitting[0] if fitting else texts[-1] if urgent else ""
    return [*pieces, (right(f"{text} ", max(0, room), glyphs.more), style)]


def _numbers(
    status: StatusSummary,
    terms: Sequence[tuple[str, float | None]],
    width: int,
    glyphs: Glyphs,
    widths: Sequence[int],
) -> list[Piece]:
    """What stands at the left; it leaves the first of `widths` that eight for a number allow, or
    the last that seven do.
    """
    room = max(6, len(str(status.step)) + 1)
    looking = status.step < status.newest
    word: Piece = (" look ", KEY) if looking else (" step ", DIM)
    pieces: list[Piece] = [word, (f"{status.step:<{room}}", "")]
    if terms:
        labels = [f"{glyphs.dot} {name} " for name, _ in terms]
        space = width - 6 - room - sum(map(len, labels))
        field = max(7, min(11, space // len(labels)))
        fields = [(space - cells) // len(labels) for cells in widths]
        enough = [cells for cells in fields if cells >= 8] or [
            max(7, cells) for cells in fields[-1:]
        ]
        field = min([field, *enough[:1]])
        for label, (_, value) in zip(labels, terms, strict=True):
            bad = value is not None and not np.isfinite(value)
            text = number(value, field - 1, none=glyphs.none).lstrip().ljust(field)
            pieces += [(label, DIM), (text, BAD if bad else "")]
    fitting = [hint for hint in status.hints if 6 + room + len(hint) + 12 <= width]
    return pieces + [(hint, KEY) for hint in fitting[:1]]


def _state(status: StatusSummary, glyphs: Glyphs) -> tuple[list[str], str, bool]:
    """Ways to say it from the longest to the shortest, the style, and whether it can wait not."""
    dot = f" {glyphs.dot} "
    if status.count:
        state = glyphs.run if status.running else status.state or "paused"
        texts = [f"{status.count} then n", f"{status.count} n"]
        return [f"{texts[0]}{dot}{state}", *texts], KEY, True
    if status.dead:
        return ["engine ended", "ended"], BAD, True
    if status.phase and not status.looks:
        return [f"{safe(status.phase)}{glyphs.more}"], WARN, True
    changed = f"{dot}{safe(status.changed)} from here on" if status.changed else ""
    if status.step < status.newest:
        run, of = f"{glyphs.run} " * status.running, f"of {status.newest}"
        long = f"looking at {status.step} {of}"
        return [f"{run}{long}{changed}", f"{run}{long}", f"{run}{of}", f"{run}past"], KEY, False
    verdict, one_word, colour = status.verdict
    judged = [verdict] if verdict else []
    marks, short = [long for long, _ in status.marks], dot.join(s for _, s in status.marks)
    if status.running:
        rate = [f"{glyphs.run} {_rate(status.rate)}"] if status.rate else []
        until = [f"{one} until {safe(status.until)}" for one in rate if status.until]
        marked = [dot.join([*mark, one]) for one in rate for mark in (marks, [short]) if marks]
        said = [dot.join([*judged, one]) for one in rate if judged]
        cost = [f"{one}{dot}{safe(status.cost)}" for one in (said or rate) if status.cost]
        return [*marked, *cost, *said, *until, *rate, glyphs.run], GOOD, False
    word = status.state or "paused"
    about = [safe(part) for part in status.about]
    parts = [*judged, *marks]
    texts = [dot.join([*about[:count], *parts, word]) for count in range(len(about), -1, -1)]
    style = BAD if word == "failed" else WARN if marks else colour or DIM
    # The state is never left out. What holds of the run goes before the counts, which come last.
    first = [s for _, s in status.marks]
    fewer = [first[:count] for count in range(len(first), 0, -1)]
    shorter = [[one_word, *first], marks, *fewer, [verdict], [one_word], []]
    texts += [dot.join(filter(None, [*some, word])) for some in shorter]
    if status.looks:
        style = WARN
        texts = [f"{what}{glyphs.more}{dot}{word}" for what in (safe(status.phase), "looks")]
        texts.append(word)
    return texts, style, False


def _rate(rate: float) -> str:
    return f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


class FaultLine(BottomLine):
    """What went wrong, where, and what to do, in as many lines as it takes; none when all is well.

    Of a text that takes more than `FAULT_ROWS` the view of the error, on `e`, has the rest.
    """

    def __init__(self, *, id: str = "fault", ascii: bool = False) -> None:
        super().__init__(id=id, ascii=ascii)
        self._texts = FaultTexts()
        self.display = False

    def show(self, fault: ErrorReported | None, dead: str, *, watched: bool = False) -> None:
        """Show the fault, or how the engine ended; `watched`: a script, which nobody reloads."""
        texts = fault_texts(fault, dead, self.glyphs, watched=watched)
        if texts != self._texts:
            self._texts = texts
            self.display = bool(texts.what)
            self._fit()
            self.paint()

    def _fit(self) -> None:
        self.styles.height = len(self.lines(self.screen.size.width))

    def is_cut(self) -> bool:
        """Whether there is more of it than is shown."""
        return fault_lines(self._texts, self.screen.size.width, self.glyphs)[1]

    def lines(self, width: int) -> Sequence[Line]:
        """At least two lines."""
        return fault_lines(self._texts, width, self.glyphs)[0]

    def on_resize(self, event: Resize) -> None:
        """As many lines as it takes now."""
        self._fit()
        super().on_resize(event)


FAULT_ROWS = 4
"""So many lines at most say what went wrong, and two more where and what to do."""


@dataclass(frozen=True)
class FaultTexts:
    """A fault, safe to draw."""

    what: str = ""
    where: str = ""
    line: str = ""
    """The line of source there."""
    hint: str = ""


def fault_texts(
    fault: ErrorReported | None, dead: str, glyphs: Glyphs, *, watched: bool = False
) -> FaultTexts:
    """What, where, and what to do, safe to draw."""
    if dead:
        what, _, hint = dead.partition("\n")
        return FaultTexts(safe(what), hint=safe(hint) or (ENDED if watched else DEAD))
    if fault is None:
        return FaultTexts()
    hints = [safe(fault.hint)] if fault.hint else []
    if fault.kind == "step" and ".py:" in fault.where and not re.search(r"\bR\b", fault.hint):
        hints.insert(0, "correct the file, then R loads it again")
    if "e shows" not in fault.hint:
        hints.append("e shows the traceback" if fault.traceback else "e shows all of it")
    # Of several lines each is a part of its own.
    what = " ".join(safe(line).strip() for line in fault.what.splitlines())
    line = safe(source_line(fault.where, fault.traceback))
    return FaultTexts(what, safe(fault.where), line, f" {glyphs.dot} ".join(hints))


def fault_lines(texts: FaultTexts, width: int, glyphs: Glyphs) -> tuple[list[Line], bool]:
    """The fault as lines, and whether some of what went wrong is left out."""
    room, gap = max(10, width - 2), f" {glyphs.dot} "
    what, where = texts.what, f"{texts.where}{gap}{texts.line}" if texts.line else texts.where
    if where and cell_len(f"{what}{gap}{where}") <= room:
        what, where = f"{what}{gap}{where}", ""
    rows = textwrap.wrap(what, room) or [""]
    cut = len(rows) > FAULT_ROWS
    if cut:
        last = left(rows[FAULT_ROWS - 1], room - len(glyphs.more)).rstrip()
        rows = [*rows[: FAULT_ROWS - 1], last + glyphs.more]
    lines = [[(left(f" {row}", width, glyphs.more), BAD)] for row in rows]
    if where:
        # The end of a path tells the most.
        space = max(room // 3, room - cell_len(f"{gap}{texts.line}") if texts.line else room)
        place = tail(texts.where, min(space, cell_len(texts.where)), glyphs.more)
        text = f"{place}{gap}{texts.line}" if texts.line else place
        lines.append([(left(f" {text}", width, glyphs.more), "")])
    hints = textwrap.wrap(texts.hint, room)[:2] or [""]
    return [*lines, *([(left(f" {hint}", width, glyphs.more), WARN)] for hint in hints)], cut


class KeyLine(BottomLine):
    """The keys, or for a moment a word in answer to one."""

    def __init__(self, *, id: str = "keys", ascii: bool = False) -> None:
        super().__init__(id=id, ascii=ascii)
        self._notice = ""
        self._pauses = False
        self._news = False
        self._keys: Sequence[Key] = ()

    def show(self, keys: Sequence[Key], *, notice: str, running: bool, news: bool) -> None:
        """Show the keys.

        Args:
            keys: those that there is a use for.
            notice: shown instead of them, if any.
            running: `space` pauses.
            news: there is output that nobody has looked at.
        """
        new = (keys, notice, running, news)
        if new != (self._keys, self._notice, self._pauses, self._news):
            self._keys, self._notice, self._pauses, self._news = new
            self.paint()

    def lines(self, width: int) -> Sequence[Line]:
        """One line."""
        if self._notice:
            return [[(left(f" {safe(self._notice)}", width, self.glyphs.more), WARN)]]
        pieces: list[Piece] = [(" ", "")]
        for key in fitting(self._keys, width - 1):
            label = "pause" if self._pauses and key.show == "space" else key.label
            style = WARN if self._news and key.show == "o" else DIM
            pieces += [(key.show, KEY), (f" {label:<{len(key.label)}}  ", style)]
        return [[*pieces, (" " * max(0, width - sum(len(text) for text, _ in pieces)), "")]]


def fitting(keys: Sequence[Key], width: int, gap: int = 2) -> list[Key]:
    """The keys whose labels fit into `width` cells, `gap` cells apart, in their order."""
    shown = [key for key in keys if key.label]
    while shown and sum(len(k.show) + 1 + len(k.label) + gap for k in shown) - gap > width:
        worst = max(key.rank for key in shown)
        shown.remove([key for key in shown if key.rank == worst][-1])
    return shown
