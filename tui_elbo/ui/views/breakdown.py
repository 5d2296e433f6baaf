"""The change broken down: by parameter with its gradients, and by site."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite, isinf
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui_elbo.client.run_state import Run
from tui_elbo.client.spans import Span, unseen
from tui_elbo.model.attribution import PLAYERS
from tui_elbo.model.bound import bound_lines
from tui_elbo.model.estimate import one_digit, rounded
from tui_elbo.model.records import Role
from tui_elbo.model.sentences import choose_sentence
from tui_elbo.model.text import safe
from tui_elbo.ui.style.glyphs import ASCII, UNICODE, Glyphs
from tui_elbo.ui.style.names import fit_names
from tui_elbo.ui.style.text import left, nats, number
from tui_elbo.ui.style.theme import BAD, DIM, KEY, ROLE
from tui_elbo.ui.views.views import Live
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.text_lines import Line, Piece

MOST = 500
"""So many parameters and sites are listed, the largest changes first."""

CHANGE, GRADIENT, SNR, SHARE = 11, 9, 6, 10
"""The widths of the columns, a space before each number included."""

LEAST_NAME, ERROR = 8, 6

PRECISE = 5e-4
"""A standard error below this is not shown: the numbers have three decimals."""

HEADS = ("log p", "log q", "ELBO")
"""The terms whose gradients are listed."""

TERMS: tuple[tuple[int, ...], ...] = ((0, 1, 2), (0, 2), (2,))
"""Which of them, from the most to the fewest that there is room for."""

NOISE = (
    "the size of the gradient of each; snr: that over its noise from draw to draw; exact: there "
    "is no such noise"
)

TITLE = "change by parameter and site"


class BreakdownView(Live):
    """The parameters and the sites of a span, over the whole screen; `/` narrows them by name.

    Args:
        run: what is known of it.
        span: the attributed span, asked for anew at each look.
        ascii: draw with ASCII characters alone.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "close", show=False),
        Binding("slash", "filter", show=False),
    ]
    DEFAULT_CSS = """
    BreakdownView Input, BreakdownView Input:focus {
        dock: bottom; border: none; height: 1; padding: 0 2;
    }
    """

    def __init__(self, run: Run, span: Callable[[], Span | None], *, ascii: bool = False) -> None:
        super().__init__()
        self._run, self._span = run, span
        self._glyphs = ASCII if ascii else UNICODE
        self._shown: Any = None

    def compose(self) -> ComposeResult:
        """The lines, and one to type in."""
        yield self.framed(Lines([], id="frame"), f"{TITLE} ── / filters".replace("──", self._dash))
        line = Input(placeholder="a part of the names to show")
        line.cursor_blink = False  # Idle costs no byte.
        line.display = False
        yield line

    @property
    def _dash(self) -> str:
        return "──" if self._glyphs is UNICODE else "--"

    def on_mount(self) -> None:
        """Look at once."""
        self.call_after_refresh(self.update)

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._shown = None
        self.call_after_refresh(self.update)

    def action_filter(self) -> None:
        """Ask for a part of a name."""
        line = self.query_one(Input)
        line.display = True
        line.focus()

    def action_close(self) -> None:
        """Leave the filter, else the view."""
        line = self.query_one(Input)
        if line.display or line.value:
            line.display, line.value = False, ""
            self.query_one(Lines).focus()
        else:
            super().action_close()

    def on_input_changed(self) -> None:
        """Show what passes the filter."""
        self.update()

    def on_input_submitted(self) -> None:
        """Keep the filter, and go back to the lines."""
        self.query_one(Input).display = False
        self.query_one(Lines).focus()

    def update(self) -> None:
        """Show what has come since."""
        if not self.query(Input):
            return  # It is closing.
        span, run = self._span(), self._run
        text = self.query_one(Input).value.strip()
        key = (None if span is None else (span.words, span.last), run.pulled, run.weighed, text)
        if key == self._shown:
            return
        self._shown = key
        lines = self.query_one(Lines)
        width = max(20, lines.scrollable_content_region.width)
        lines.put(breakdown_lines(run, span, text, width, self._glyphs))


def breakdown_lines(
    run: Run, span: Span | None, part: str, width: int, glyphs: Glyphs
) -> Iterator[Line]:
    """Parameters and sites whose names have `part` in them, the largest changes first."""
    if span is None:
        why = unseen(run, run.step) or "The lens has not looked yet: n takes a step"
        yield [(f"{safe(why)}.", DIM)]
        return
    span = _to_the_gradients(run, span)
    interval = span.start.state, span.end.state
    words = "from step {} to {}, by the parameters after each".format(*interval)
    yield [(words if span.words.startswith("since step") else f"{span.words}: {words}", KEY)]
    yield from _at_words(choose_sentence(span.summary).text, width, glyphs)
    yield [("", "")]
    yield from _parameters(run, interval, part, width, glyphs)
    yield [("", "")]
    yield from _sites(span, part, width, glyphs)
    if span.end.note:
        yield [("", "")]
        yield [("the lens", KEY)]
        yield from _at_words(span.end.note, width, glyphs)
    if run.weighed is not None:
        yield [("", "")]
        yield [(f"importance weights at step {run.weighed.step}", KEY)]
        for text in bound_lines(run.weighed.bound):
            yield from _at_words(text, width, glyphs)


def _at_words(text: str, width: int, glyphs: Glyphs) -> Iterator[Line]:
    for line in textwrap.wrap(glyphs.plain(safe(text)), width):
        yield [(line, "")]


def _to_the_gradients(run: Run, span: Span) -> Span:
    """The span with the update that follows its last record, where the gradients are those after
    it: so that all that is shown ends there. That of a single step is left alone.
    """
    end = None if run.pulled is None else run.lens_history.latest_usable(run.pulled.step)
    if end is None or run.pulled is None or end.state != run.pulled.step:
        return span
    one_before = span.end.state == end.state - 1 and span.end.state - span.start.state > 1
    return replace(span, end=end, before={}, after={}) if one_before else span


def _parameters(
    run: Run, interval: tuple[int, int], part: str, width: int, glyphs: Glyphs
) -> Iterator[Line]:
    gradients = run.pulled
    if gradients is None:
        yield [(f"looking at the parameters{glyphs.more}", DIM)]
        return
    kept = [i for i, name in enumerate(gradients.names) if part.casefold() in name.casefold()]
    longest = max((len(safe(gradients.names[i])) for i in kept[:MOST]), default=0)
    room = width - 2 - CHANGE - LEAST_NAME
    terms = next(some for some in TERMS if len(some) * (GRADIENT + SNR) <= room or len(some) == 1)
    room -= len(terms) * (GRADIENT + SNR)
    name = LEAST_NAME + max(0, min(longest + 1 - LEAST_NAME, room))
    own = gradients.since, gradients.step
    head = "change, and gradients at the end"
    if own != interval:
        head = "change from step {} to {}, gradients at the end".format(*own)
    yield [(f"by parameter, unconstrained: {head}", KEY)]
    heads = "".join(f"{HEADS[term]:>{GRADIENT}}{'snr':>{SNR}}" for term in terms)
    yield [(f"  {'':{name}}{'change':>{CHANGE}}", DIM), (heads, DIM), ("", "")]
    roles = _roles(run)
    names = [safe(gradients.names[i]) for i in kept[:MOST]]
    group = [safe(name) for name, role in roles.items() if role == "guide"]
    labels = fit_names(names, name - 1, glyphs.more, group)
    for i in kept[:MOST]:
        role = roles.get(gradients.names[i], "none")
        yield [
            (f"{glyphs.role(role):2.2}", ROLE[role]),
            (labels[safe(gradients.names[i])] + " ", ""),
            _cell(float(gradients.values[i, 0]), CHANGE, glyphs, ""),
            *_gradients(gradients.values[i, 1:].tolist(), terms, glyphs),
        ]
    yield from _more(kept, glyphs)
    if kept:
        words = ", ".join(HEADS[term] for term in terms)
        text = textwrap.wrap(f"{words}: {NOISE}", width - 2)
        yield from ([(f"  {line}", DIM)] for line in text)
    elif gradients.names:
        yield [(_hidden(len(gradients.names), part), DIM)]
    for reason in dict.fromkeys(gradients.reasons[i] for i in kept if gradients.reasons[i]):
        yield [(f"  {glyphs.none} {safe(reason)}", DIM)]


def _roles(run: Run) -> Mapping[str, Role]:
    layout = run.history.layout
    return {} if layout is None else {info.name: info.role for info in layout.params}


def _gradients(numbers: Sequence[float], terms: Sequence[int], glyphs: Glyphs) -> Iterable[Piece]:
    for term in terms:
        yield _cell(numbers[2 * term], GRADIENT, glyphs, "", digits=3)
        yield _cell(numbers[2 * term + 1], SNR, glyphs, DIM, digits=2)


def _cell(value: float, width: int, glyphs: Glyphs, style: str, digits: int = 4) -> Piece:
    if isfinite(value):
        return " " + number(value, width - 1, digits), style
    return (f"{'exact' if isinf(value) else glyphs.none:>{width}}"), DIM


def _sites(span: Span, part: str, width: int, glyphs: Glyphs) -> Iterator[Line]:
    """What the parameters did to each site over the span."""
    shares = span.by_site()
    kept = [term for term in shares if part.casefold() in term.site.casefold()]
    kept.sort(key=lambda term: (-abs(shares[term].together), term))
    yield [("by site: nats", KEY)]
    if not kept:
        hidden = _hidden(len({term.site for term in shares}), part)
        yield [(hidden if shares else "  nothing is kept of single sites there", DIM)]
        return
    players = [player for player in PLAYERS if player in span.end.players]
    letters = {"phi": glyphs.phi, "theta": glyphs.theta, "both": "both"}
    longest = max(len(safe(term.site)) for term in kept[:MOST])
    room = width - 8 - LEAST_NAME - SHARE * len(players)
    error = ERROR if room >= ERROR * len(players) else 0
    name = LEAST_NAME + max(0, min(longest + 1 - LEAST_NAME, room - error * len(players)))
    heads = "".join(f"{letters[p]:>{SHARE}}{'':{error}}" for p in players)
    yield [(" " * (8 + name) + heads, DIM)]
    labels = fit_names([safe(term.site) for term in kept[:MOST]], name - 1, glyphs.more)
    for term in kept[:MOST]:
        line: list[Piece] = [(f"  {term.field.replace('_', ' ')} ", DIM)]
        line.append((labels[safe(term.site)] + " ", ""))
        for player in players:
            value = shares[term].shares.get(player, 0.0)
            own = shares[term].errors.get(player, 0.0)
            if not shares[term].split:
                line.append((f"{'?':>{SHARE}}{'':{error}}", DIM))
                continue
            line.append((_nats(value, own), "" if isfinite(value) else BAD))
            text = f"{glyphs.error}{one_digit(own)}" if own >= PRECISE else ""
            line += [(left(text if len(text) <= error else "", error), DIM)] * bool(error)
        yield line
    yield from _more(kept, glyphs)


def _nats(value: float, error: float) -> str:
    """A signed number with the digits that its error allows, three decimals at most."""
    text = rounded(value, error) if error >= PRECISE else ""
    if not text or "e" in text or len(text) + 2 > SHARE:
        return " " + nats(value, SHARE - 1)
    return f"{'+' * (value > 0)}{text}".rjust(SHARE)


def _hidden(count: int, part: str) -> str:
    """What the filter has left out."""
    names = f"none of {count} names has" if count > 1 else "the only name has not"
    return f"  hidden by the filter: {names} {safe(part)!r} in it"


def _more(found: Sequence[object], glyphs: Glyphs) -> Iterator[Line]:
    if len(found) > MOST:
        yield [(f"  and {len(found) - MOST} more{glyphs.more}", DIM)]
