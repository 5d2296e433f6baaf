"""Views over the explorer: notes, output, error, help; a question; a word about the size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Key as KeyPressed
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from tui_elbo.client.output import Output
from tui_elbo.model.errors import source_line
from tui_elbo.model.text import safe
from tui_elbo.protocol import ErrorReported, Loaded
from tui_elbo.ui.style.glyphs import ASCII, UNICODE, Glyphs
from tui_elbo.ui.style.theme import BAD, DIM, KEY, WARN
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.text_lines import Line, Piece

if TYPE_CHECKING:
    from tui_elbo.ui.keys import Key as KeyRow


CLOSES = "arrows scroll, esc closes"


class View(ModalScreen[None]):
    """Base of the views: one framed widget over the whole screen.

    Closed by escape, by `q`, and by the key that opened it.
    """

    DEFAULT_CSS = """
    View {
        overflow: hidden hidden;
        #frame {
            width: 1fr; height: 1fr; padding: 0 1; background: $background;
            border: round $primary; border-title-color: $foreground;
            border-subtitle-color: $foreground;
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", show=False),
        Binding("down", "by(1)", show=False),
        Binding("up", "by(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("home", "edge(-1)", show=False),
        Binding("end", "edge(1)", show=False),
    ]

    def framed(self, widget: Widget, title: str) -> Widget:
        """The widget as the frame of this view."""
        widget.border_title = Content(title)
        widget.border_subtitle = Content(CLOSES)
        return widget

    def on_key(self, event: KeyPressed) -> None:
        """Say so of a key that has no use here."""
        frame = self.query_one("#frame")
        if isinstance(self.focused, Input):
            return
        used = event.key in self.active_bindings
        name = safe(event.character) if event.is_printable and event.character else event.key
        word = "" if used else f"{name} has no use here: "
        frame.border_subtitle = Content(f"{word}{CLOSES}")

    def action_close(self) -> None:
        """Back to the explorer."""
        self.dismiss(None)

    def action_by(self, lines: int) -> None:
        """Scroll by lines."""
        self.query_one("#frame").scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by screenfuls."""
        frame = self.query_one("#frame")
        frame.scroll_relative(y=pages * max(1, frame.size.height - 1), animate=False)

    def action_edge(self, which: int) -> None:
        """Scroll to the first or the last line."""
        frame = self.query_one("#frame")
        frame.scroll_to(y=0 if which < 0 else frame.max_scroll_y, animate=False)


class Live(View):
    """A view of something that changes."""

    def update(self) -> None:
        """Show what has come since; called at most ten times a second."""
        raise NotImplementedError


class NotesView(View):
    """What the scenario's file says about itself, as Markdown.

    Args:
        loaded: the scenario.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("i", "close", show=False)]
    DEFAULT_CSS = "NotesView Markdown { padding: 0; margin: 0; }"

    def __init__(self, loaded: Loaded) -> None:
        super().__init__()
        self._loaded = loaded

    def compose(self) -> ComposeResult:
        """Markdown, imported only here: it takes a while."""
        from textual.widgets import Markdown  # noqa: PLC0415

        scenario = self._loaded
        notes = safe(scenario.notes, lines=True).strip() or "*This file has no notes.*"
        text = f"## {safe(scenario.title) or safe(scenario.name)}\n\n{notes}"
        markdown = Markdown(text, open_links=False)
        yield self.framed(VerticalScroll(markdown, id="frame"), f"notes of {safe(scenario.name)}")


class OutputView(Live):
    """What the engine and the model print, and warnings.

    Args:
        output: where they are kept; `update` shows what has come since.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("o", "close", show=False)]

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output
        self._version = -1

    def compose(self) -> ComposeResult:
        """The lines, from the last on."""
        yield self.framed(Lines([], id="frame"), "output")

    def on_mount(self) -> None:
        """Look at the end."""
        self.update()
        self.call_after_refresh(self.action_edge, 1)

    def update(self) -> None:
        """Show what has come since."""
        for lines in self.query(Lines):
            if self._version != self._output.version:
                self._version = self._output.version
                lines.put(output_lines(self._output), follow=True)


def output_lines(output: Output) -> Iterator[Line]:
    """The output, safe to draw."""
    if output.dropped:
        yield [(f"({output.dropped} earlier lines are not kept)", DIM)]
    if not output.total:
        yield [("Nothing has been printed so far, and there are no warnings.", DIM)]
    for line in output.shown():
        yield [(safe(line, lines=True), "")]


class ErrorView(View):
    """What went wrong, where, what to do, and the traceback.

    Args:
        fault: what went wrong.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("e", "close", show=False)]

    def __init__(self, fault: ErrorReported) -> None:
        super().__init__()
        self._fault = fault

    def compose(self) -> ComposeResult:
        """The lines, from the first on."""
        yield self.framed(Lines(error_lines(self._fault), id="frame"), "error")


def error_lines(fault: ErrorReported) -> Iterator[Line]:
    """The fault, safe to draw."""
    source = source_line(fault.where, fault.traceback)
    place = f"{fault.where}\n    {source}" if source else fault.where
    for text, style in ((fault.what, BAD), (place, ""), (fault.hint, WARN)):
        for line in safe(text, lines=True).splitlines():
            yield [(line, style)]
    if fault.kind != "load" and f"step {fault.step}" not in fault.hint:
        yield [(f"The run stands at step {fault.step}.", DIM)]
    if fault.traceback:
        yield [("", "")]
        said = " ".join(safe(fault.what, lines=True).split())
        for line in safe(fault.traceback, lines=True).splitlines():
            # The error itself stands above.
            words = " ".join(line.split())
            if not words or line[:1].isspace() or words not in said:
                yield [(line, "")]


class HelpView(View):
    """The keys, and what the marks mean.

    Args:
        keys: those that the source of the run allows.
        ascii: draw with ASCII characters alone.
        marks: say as well what the marks on the screen mean.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "close", show=False)]

    def __init__(self, keys: Sequence[KeyRow], *, ascii: bool = False, marks: bool = True) -> None:
        super().__init__()
        self._keys, self._marks = keys, marks
        self._glyphs = ASCII if ascii else UNICODE

    def compose(self) -> ComposeResult:
        """The table of keys."""
        lines = help_lines(self._keys, self._glyphs) if self._marks else key_lines(self._keys)
        yield self.framed(Lines(lines, id="frame"), "help")


def key_lines(keys: Sequence[KeyRow]) -> Iterator[Line]:
    """A line a key."""
    width = max(7, *(len(key.show) for key in keys))
    for key in keys:
        yield [(f"{key.show:>{width}}", KEY), (f"  {key.help}", "")]


def help_lines(keys: Sequence[KeyRow], glyphs: Glyphs) -> Iterator[Line]:
    """Keys first, then what is on the screen."""
    yield from key_lines(keys)
    yield [("", "")]
    for name, meaning in (
        ("log p", "log p(x, z) of this step's draws, in nats, summed over sites"),
        ("log q", "log q(z) of the same draws"),
        ("ELBO", "log p - log q, mean over particles: what SVI raises"),
        (glyphs.theta, "a parameter that the model reads"),
        (glyphs.phi, "a parameter that the guide reads"),
        ("?", "a parameter of unknown role: the loss builds no traces to see"),
        (glyphs.delta, "its change in this step; of a tensor the norm, unconstrained"),
        (glyphs.grad, "norm of its gradient, unconstrained, as the optimiser received it"),
        ("past", "its value over all steps so far; of a tensor the mean"),
        ("snr", "size of a gradient over its noise from draw to draw; exact: none"),
        ("8|3", "a site's shape: batch dimensions | dimensions of one event"),
        ("density", "log_density of a Delta: what it adds to log q, a log |Jacobian|"),
        (glyphs.observed, "an observed site"),
        (glyphs.latent, "a latent site"),
        (glyphs.none, "a number that there is none of"),
    ):
        yield [(f"{name:>7}", DIM), (f"  {meaning}", "")]


YES_OR_NO = {"y": "yes", "n": "no"}


class Confirm(ModalScreen[str]):
    """A question at the bottom of the screen, answered by one of a few keys; `n` by escape, too.

    Args:
        question: one line, safe to draw.
        choices: the keys that answer it, with a word for each.
    """

    DEFAULT_CSS = """
    Confirm { align: left bottom; }
    Confirm Lines { width: 1fr; background: $background; scrollbar-gutter: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "answer('n')", show=False)]

    def __init__(self, question: str, choices: Mapping[str, str] = YES_OR_NO) -> None:
        super().__init__()
        self._question, self._choices, self._pressed = question, choices, ""

    def compose(self) -> ComposeResult:
        """In place of the keys."""
        yield Lines([])

    def on_mount(self) -> None:
        """Fit it to the width."""
        self._show()

    def on_resize(self) -> None:
        """Fit it anew."""
        self._show()

    def _show(self) -> None:
        lines = confirm_lines(self._question, self._choices, self._pressed, self.size.width)
        for widget in self.query(Lines):
            widget.styles.height = len(lines)
            widget.put(lines)

    def on_key(self, event: KeyPressed) -> None:
        """Take the answer, or say which keys there are."""
        if event.key in self._choices:
            event.stop().prevent_default()
            self.action_answer(event.key)
        elif event.key not in self.active_bindings:
            printable = event.is_printable and event.character
            self._pressed = safe(event.character or "") if printable else event.key
            self._show()

    def action_answer(self, key: str) -> None:
        """Take the answer back."""
        self.dismiss(key)


def confirm_lines(
    question: str, choices: Mapping[str, str], pressed: str, width: int
) -> list[Line]:
    """The question and its keys: in one line if there is room; the keys are never cut.

    Args:
        question: safe to draw.
        choices: the keys with their words.
        pressed: a key that is none of them; empty for none.
        width: cells.
    """
    word = f" {pressed} is no choice:" if pressed else ""
    keys: list[Piece] = [(word, WARN), ("", "")]
    for key, text in choices.items():
        keys += [(f" {key}", KEY), (f" {text} ", "")]
    if cell_len(question) + sum(cell_len(text) for text, _ in keys) + 1 <= width:
        return [[(f" {question} ", WARN), *keys]]
    lines: list[Line] = [[(f" {line}", WARN)] for line in wrap(question, max(10, width - 2))]
    if sum(cell_len(text) for text, _ in keys) > width and word:
        lines.append([keys.pop(0)])
    return [*lines, keys]
