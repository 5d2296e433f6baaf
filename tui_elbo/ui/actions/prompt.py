"""A line to type in, at the bottom of the explorer, in place of the status and the keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.suggester import Suggester
from textual.widgets import Input

from tui_elbo.model.errors import ElboError
from tui_elbo.model.text import safe
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.style.text import left
from tui_elbo.ui.style.theme import BAD, DIM, KEY
from tui_elbo.ui.widgets.text_lines import TextLine


@dataclass(frozen=True)
class Question:
    """What is asked for, and what becomes of the answer."""

    name: str
    """A word before the line."""
    hint: str
    """What may be typed; may hold text of the user's world."""
    take: Callable[[str], None]
    """Takes the answer; raises an `ElboError` if it cannot, and then may be asked again."""
    words: Sequence[str] = ()
    """What the last word may be completed to."""
    text: str = ""
    """What stands there at first."""
    typed: Callable[[str], None] | None = None
    """Called with the text as it is typed."""


class _Words(Suggester):
    """Completes the last word that is being typed."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._words = words

    async def get_suggestion(self, value: str) -> str | None:
        """The whole line with its last word completed; None if there is nothing to complete."""
        start = max(value.rfind(mark) for mark in " (,") + 1
        word = value[start:]
        found = [one for one in self._words if word and one.startswith(word) and one != word]
        return value[:start] + found[0] if found else None


class _Line(Input):
    """The line itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "cursor_right", show=False),
        Binding("shift+tab", "cursor_left", show=False),
    ]


class Prompt(Vertical):
    """Asks a question; the last answer to each stands there when it is asked again.

    Args:
        ascii: draw with ASCII characters alone.
        done: called when it is answered or left.
    """

    DEFAULT_CSS = """
    Prompt {
        height: 2;
        TextLine { height: 1; width: 1fr; }
        Horizontal { height: 1; }
        #asked { width: 12; }
        Input, Input:focus { border: none; height: 1; padding: 0; background: transparent; }
    }
    """

    def __init__(self, *, ascii: bool, done: Callable[[], object]) -> None:
        super().__init__(id="prompt")
        self._glyphs = ASCII if ascii else UNICODE
        self._done = done
        self._question: Question | None = None
        self._answers: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """What may be typed, and below it the line."""
        yield TextLine(id="hint")
        with Horizontal():
            yield TextLine(id="asked")
            line = _Line(id="line", select_on_focus=True)
            line.cursor_blink = False  # Idle costs no byte.
            yield line

    @property
    def asking(self) -> bool:
        """Whether a question is open."""
        return self._question is not None

    def ask(self, question: Question) -> None:
        """Ask it."""
        self._question = question
        line = self.query_one(_Line)
        line.suggester = _Words(question.words)
        line.value = question.text or self._answers.get(question.name, "")
        self._hint(question.hint, DIM)
        self.query_one("#asked", TextLine).show([(f" {question.name:>9} ", KEY)])
        self.screen.set_focus(line)  # At once: `focus` would let the next keys go elsewhere.
        line.action_select_all()

    def insert(self, text: str) -> None:
        """Take in a letter that went elsewhere, as if it had been typed here."""
        line = self.query_one(_Line)
        if not line.selection.is_empty:
            line.delete_selection()
        line.insert_text_at_cursor(text)

    def leave(self) -> None:
        """Ask no more; nothing is answered."""
        self._question = None
        self._done()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell of what is typed, and take back a word about what was wrong with it."""
        if self._question is not None:
            self._hint(self._question.hint, DIM)
            if self._question.typed is not None:
                self._question.typed(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the answer; if it will not do, say why and go on asking."""
        question = self._question
        if question is None:
            return
        try:
            question.take(event.value.strip())
        except ElboError as error:
            self._hint(f"{error.what}; {error.hint}" if error.hint else error.what, BAD)
            return
        self._answers[question.name] = event.value.strip()
        self.leave()

    def _hint(self, text: str, style: str) -> None:
        hint = self.query_one("#hint", TextLine)
        hint.show([(left(f" {safe(text)}", self.screen.size.width, self._glyphs.more), style)])
