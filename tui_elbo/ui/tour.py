"""The tour on the screen: an explorer with three lines above it that lead through a scenario."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from textual.app import ComposeResult
from textual.message import Message

from tui_elbo.client.process import Engine, spawn
from tui_elbo.client.session import Options
from tui_elbo.model.tour import RULE, STOPS, seen_text
from tui_elbo.ui.explorer import Explorer
from tui_elbo.ui.panes.sentence import SentenceLine
from tui_elbo.ui.style.theme import DIM, KEY, WARN
from tui_elbo.ui.views.views import View
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.status import BottomLine
from tui_elbo.ui.widgets.text_lines import Line

ROWS = 4
"""The tour's lines: three for a text, one for its keys."""


class TourExplorer(Explorer):
    """The explorer at a stop of the tour; any key that the tour does not ask for leaves the tour.

    Args:
        number: which stop, from 0 on.
        options: what the program was started with.
        engine: a running engine to use; without one it is started.
    """

    again_in_seconds = True

    class Next(Message):
        """The person goes on to the next stop, or to the rule after the last."""

        def __init__(self, number: int, engine: Engine | None) -> None:
            self.number, self.engine = number, engine
            super().__init__()

    def __init__(self, number: int, options: Options, engine: Engine | None = None) -> None:
        self.number, self.stop = number, STOPS[number]
        super().__init__(self.stop.scenario, options, engine, back="the gallery")
        self._state: Literal["ask", "wait", "seen", "left"] = "ask"
        self._next_engine: Engine | None = None

    def compose(self) -> ComposeResult:
        """The tour's lines above the explorer's own."""
        yield TourLines(id="tour", ascii=self.session.options.ascii)
        yield from super().compose()

    def on_mount(self) -> None:
        """The tour's lines say what is to be said."""
        self.query_one(SentenceLine).display = False

    def on_unmount(self) -> None:
        """Leave no engine behind that nobody took."""
        if self._next_engine is not None:
            self._next_engine.end()
        if self._state != "left":
            self.session.leave()

    def action_press(self, key: str) -> None:
        """Do what the tour asks for; any other key leaves it, and does what it always does."""
        if self._state == "left" or key == "ctrl+c":
            super().action_press(key)
        elif self._state == "ask" and key == self.stop.key:
            self._state = "wait"
            super().action_press(key)
        elif key == "enter" and self._state == "seen":
            engine, self._next_engine = self._next_engine, None
            self.post_message(self.Next(self.number + 1, engine))
        elif key in ("enter", self.stop.key):
            self.draw_bottom()  # Too early, or pressed twice.
        elif key == "escape":
            self.go_back()
        else:
            self._leave()
            super().action_press(key)
            again = f"elbo-tui tour {self.number + 1}"
            if not self.notice:
                self.answer(f"you left the tour: ? lists the keys, `{again}` comes back to it")

    def _leave(self) -> None:
        self._state = "left"
        self.query_one(SentenceLine).display = True
        self.query_one(TourLines).display = False

    def draw_bottom(self) -> None:
        """Bring the tour's lines up to date as well."""
        super().draw_bottom()
        if self._state == "wait" and self._shows_all():
            self._state = "seen"
            if self.number + 1 < len(STOPS):
                # While one reads, the next engine imports torch.
                with suppress(OSError):
                    self._next_engine = spawn(self.session.options.argv)
        self.query_one(TourLines).show(self._text(), self._keys())

    def _shows_all(self) -> bool:
        """Whether the run stands at its last step, and the lens has seen it."""
        run, span = self.session.run, self.span()
        if run.loaded is None or self.session.commands.running or run.step < run.loaded.steps:
            return False
        return span is not None and not span.end.unusable and span.end.state >= run.step - 1

    def _text(self) -> str:
        run, span = self.session.run, self.span()
        if self._state == "seen" and span is not None:
            return seen_text(self.stop, span.summary, run.history)
        if run.fault is not None or run.dead:
            return "This did not go as it should: see below."
        return self.stop.ask.format(steps=run.loaded.steps if run.loaded is not None else "all its")

    def _keys(self) -> Line:
        last = self.number + 1 == len(STOPS)
        press = {
            "ask": (self.stop.key, " runs it"),
            "wait": ("", "it runs…"),
            "seen": ("enter", " the rule" if last else " goes on"),
            "left": ("", ""),
        }[self._state]
        where = f" tour {self.number + 1} of {len(STOPS)}: {self.stop.scenario}   "
        return [(where, DIM), (press[0], KEY), (press[1], WARN), ("   other keys leave", DIM)]


class TourLines(BottomLine):
    """What to press or what was seen, and the keys of the tour."""

    DEFAULT_CSS = f"TourLines {{ height: {ROWS}; }}"

    def __init__(self, *, id: str, ascii: bool) -> None:
        super().__init__(id=id, ascii=ascii)
        self._text, self._keys = "", list[tuple[str, str]]()

    def show(self, text: str, keys: Line) -> None:
        """Show a text and the keys."""
        if (text, list(keys)) != (self._text, self._keys):
            self._text, self._keys = text, list(keys)
            self.paint()

    def lines(self, width: int) -> Sequence[Line]:
        """The text wrapped, then the keys."""
        text = textwrap.wrap(self.glyphs.plain(self._text), max(20, min(100, width - 2)))
        rows: list[Line] = [[(f" {line}", "bold")] for line in text[: ROWS - 1]]
        keys = [(self.glyphs.plain(one).replace("…", self.glyphs.more), s) for one, s in self._keys]
        return [*rows, keys, *([[("", "")]] * (ROWS - 1 - len(rows)))]


class RuleView(View):
    """The rule that the tour ends with.

    Args:
        ascii: draw with ASCII characters alone.
    """

    def compose(self) -> ComposeResult:
        """Headings and paragraphs."""
        yield self.framed(Lines(rule_lines(), id="frame"), "the rule")


def rule_lines(width: int = 74) -> list[Line]:
    """The rule, wrapped to a width."""
    lines: list[Line] = []
    for heading, text in RULE:
        lines.append([(heading, "bold")])
        lines += [[(line, "")] for line in textwrap.wrap(text, width)]
        lines.append([("", "")])
    return lines[:-1]
