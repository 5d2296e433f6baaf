"""The gallery: what there is to look at, and a line to open a file of one's own."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key as KeyPressed
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from tui_elbo.client.process import Engine, spawn
from tui_elbo.client.session import Options
from tui_elbo.model.errors import UsageError
from tui_elbo.model.scenarios import find_scenario, gallery
from tui_elbo.model.text import safe
from tui_elbo.ui.gallery_list import GalleryList
from tui_elbo.ui.keys import Key
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.style.theme import BAD, DIM, KEY, WARN
from tui_elbo.ui.views.views import HelpView
from tui_elbo.ui.widgets.status import fitting
from tui_elbo.ui.widgets.text_lines import Piece, TextLine

KEYS = (
    Key("enter", "enter", None, "open", "open the scenario under the cursor", 0),
    Key("up,down,k,j", "up down", None, "", "move the cursor; k and j do as well"),
    Key("pageup,pagedown,space", "pgup pgdn", None, "", "move it by a screenful; space: down"),
    Key("home,end", "home end", None, "", "the first scenario, the last one"),
    Key("t", "t", None, "tour", "take the tour: the question answered in three minutes", 1),
    Key("slash", "/", None, "search", "list those with these words in name, title or summary", 2),
    Key("tab", "tab", None, "your own file", "type the path of a file of yours, or a module", 1),
    Key("question_mark", "?", None, "help", "this help", 3),
    Key("ctrl+p", "ctrl+p", None, "", "the themes"),
    Key("escape", "escape", None, "", "leave a line that is typed in, the search; quit"),
    Key("q", "q", None, "quit", "quit", 1),
)
"""The keys of the gallery, in the order of the help."""


class Gallery(Screen[None]):
    """A list of scenarios, with an engine that warms up behind it.

    Args:
        options: what the program was started with.
        engine: a running engine to use; without one it is started.
    """

    class Chosen(Message):
        """A scenario was chosen; the engine goes with it."""

        def __init__(self, target: str, engine: Engine | None) -> None:
            self.target, self.engine = target, engine
            super().__init__()

    class TourAsked(Message):
        """The tour is to begin; the engine goes with it."""

        def __init__(self, engine: Engine | None) -> None:
            self.engine = engine
            super().__init__()

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape", "leave", show=False),
        Binding("t", "tour", show=False),
        Binding("slash", "search", show=False),
        Binding("question_mark", "help", show=False),
        Binding("tab,shift+tab", "swap", show=False, priority=True),
    ]

    DEFAULT_CSS = """
    Gallery {
        overflow: hidden hidden;
        TextLine { height: 1; }
        #title { margin-bottom: 1; }
        #list { height: 1fr; }
        Input, Input:focus { height: 1; border: none; padding: 0 1; background: $background; }
        #search { display: none; }
        &.-searching #search { display: block; }
        &.-searching #path { display: none; }
        #keys { margin-top: 1; }
    }
    """

    def __init__(self, options: Options, engine: Engine | None = None) -> None:
        super().__init__()
        self._glyphs = ASCII if options.ascii else UNICODE
        self._options, self._engine = options, engine

    def compose(self) -> ComposeResult:
        """The list, a word in answer, the line for a path, the keys."""
        yield TextLine(id="title")
        yield GalleryList(gallery(), self._glyphs, id="list")
        yield TextLine(id="answer")
        yield Input(placeholder="open a file: tab, then its path or a module's name", id="path")
        yield Input(placeholder="words to search for; enter: back to the list", id="search")
        yield TextLine(id="keys")

    def on_mount(self) -> None:
        """Begin in the list."""
        self.query_one(GalleryList).focus()
        if self._options.others:
            self.answer(self._options.others)
        self._word("title", (" elbo-tui", "bold"), ("  watch SVI, term by term", DIM))
        self._keys()

    def _keys(self) -> None:
        shown = fitting(KEYS, max(20, self.size.width - 2))
        self._word(
            "keys", *(p for key in shown for p in ((f" {key.show}", KEY), (f" {key.label} ", DIM)))
        )

    def on_resize(self) -> None:
        """As many keys as there is room for."""
        self._keys()

    def on_key(self, event: KeyPressed) -> None:
        """Say so of a key that has no use here, and no more of the one before."""
        if not self.query_one(GalleryList).has_focus:
            return
        known = event.key in self.active_bindings
        name = safe(event.character) if event.is_printable and event.character else event.key
        self._word(
            "answer", *([] if known else [(f" {name} has no use here: ? lists the keys", WARN)])
        )

    def answer(self, notice: str) -> None:
        """Show a line in answer to what was typed."""
        self._word("answer", (f" {notice}", WARN))

    def _word(self, id: str, *pieces: Piece) -> None:
        self.query_one(f"#{id}", TextLine).show(pieces)

    def action_swap(self) -> None:
        """Between the list and the line for a path."""
        choice = self.query_one(GalleryList)
        if choice.has_focus:
            self.query_one("#path", Input).focus()
        else:
            self.set_class(False, "-searching")
            choice.focus()

    def action_search(self) -> None:
        """Ask for words that the scenarios to list must have."""
        self.set_class(True, "-searching")
        self.query_one("#search", Input).focus()

    def action_tour(self) -> None:
        """Take the tour."""
        engine, self._engine = self._engine, None
        self.post_message(self.TourAsked(engine))

    def action_help(self) -> None:
        """Show the keys."""
        self.app.push_screen(HelpView(KEYS, ascii=self._options.ascii, marks=False))

    def on_screen_resume(self) -> None:
        """Have an engine warm up for what will be chosen."""
        if self._engine is None:
            # One that cannot be started is reported where it is needed.
            with suppress(OSError):
                self._engine = spawn(self._options.argv)

    def on_unmount(self) -> None:
        """Leave no engine behind that nobody took."""
        if self._engine is not None:
            self._engine.end()

    def _choose(self, target: str) -> None:
        engine, self._engine = self._engine, None
        self.post_message(self.Chosen(target, engine))

    def action_leave(self) -> None:
        """From a line back to the list; then show all of it again; then out of the program."""
        choice, search = self.query_one(GalleryList), self.query_one("#search", Input)
        if choice.has_focus and not choice.filter:
            self.app.exit(0)
            return
        search.value = choice.filter = ""
        self.set_class(False, "-searching")
        self._word("answer")
        choice.focus()

    def on_gallery_list_opened(self, event: GalleryList.Opened) -> None:
        """Open the scenario under the cursor."""
        self._choose(event.entry.name)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search as it is typed; the message about another path no longer holds."""
        self._word("answer")
        if event.input.id == "search":
            self.query_one(GalleryList).filter = event.value

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go back to what was found, or open what was typed, if there is such a file."""
        target = event.value.strip()
        if event.input.id == "search":
            self.set_class(False, "-searching")
            self.query_one(GalleryList).focus()
            if target:
                text = f" only those that have {safe(target)!r}; escape shows all"
                self._word("answer", (text, WARN))
            return
        if not target:
            return
        try:
            find_scenario(target)
        except UsageError as error:
            self._word("answer", (f" {safe(error.where)}: {error.what}; {safe(error.hint)}", BAD))
        else:
            self._choose(target)
