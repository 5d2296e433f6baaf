"""The findings of a run: what is wrong, the evidence, why it matters, what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from tui_elbo.model.findings import Finding
from tui_elbo.model.text import safe
from tui_elbo.protocol.run_state import RunState
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.theme import BAD, DIM, KEY, WARN
from tui_elbo.ui.views.views import Live
from tui_elbo.ui.widgets.lines import Lines
from tui_elbo.ui.widgets.text_lines import Line

STYLE = {"error": BAD, "warning": WARN, "note": DIM}

AROUND = 1
"""Lines of the file that are shown above and below the one that a finding is about."""


class FindingsView(Live):
    """The findings, the gravest first; the one under the cursor is shown whole.

    Args:
        run: whose findings they are.
        dismiss: puts a finding aside, or takes it back.
        go: called with the finding that the person wants to be led to.
        glyphs: of the terminal.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("F", "close", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("enter", "go", show=False),
        Binding("d,delete", "aside", show=False),
    ]

    def __init__(
        self,
        run: RunState,
        dismiss: Callable[[Finding, bool], object],
        go: Callable[[Finding], object],
        glyphs: Glyphs,
    ) -> None:
        super().__init__()
        self._run, self._dismiss, self._go, self._glyphs = run, dismiss, go, glyphs
        self._at = 0
        self._shown: object = None

    def compose(self) -> ComposeResult:
        """The lines."""
        frame = self.framed(Lines(self._lines(), id="frame"), "findings")
        frame.border_subtitle = Content("enter: go there, d: dismiss, or take back, esc closes")
        yield frame

    def update(self) -> None:
        """Show what has been found since."""
        if self._shown != self._basis:
            self._show()

    @property
    def _basis(self) -> object:
        return self._run.checked, self._run.verdict, self._run.step

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._at = max(0, min(self._at + by, len(self._all()) - 1))
        self._show()

    def action_aside(self) -> None:
        """Put the finding aside, or take it back."""
        standing, found = self._run.findings, self._under()
        if found is not None:
            self._dismiss(found, found in standing)

    def action_go(self) -> None:
        """Close, and lead to what the finding is about."""
        found = self._under()
        if found is not None:
            self.dismiss(None)
            self._go(found)

    def _all(self) -> tuple[Finding, ...]:
        checked = self._run.checked
        return () if checked is None else (*checked.findings, *checked.dismissed)

    def _under(self) -> Finding | None:
        found = self._all()
        return found[min(self._at, len(found) - 1)] if found else None

    def _show(self) -> None:
        for lines in self.query(Lines):
            lines.put(self._lines())

    def _lines(self) -> list[Line]:
        self._shown = self._basis
        checked, found = self._run.checked, self._all()
        if not found:
            verdict = self._run.verdict
            lines: list[Line] = [[("Nothing has been found wrong so far.", "")]]
            if verdict is not None and verdict.state in ("rate_too_high", "falling", "stopped"):
                lines = [[(self._text(verdict.text), WARN)]]
        else:
            self._at = min(self._at, len(found) - 1)
            standing = len(self._run.findings)
            lines = []
            for place, one in enumerate(found):
                here, aside = place == self._at, place >= standing
                lines += self._of(one, here=here, aside=aside)
        lines += [[("", "")], *([(text, DIM)] for text in self._looked())]
        if checked is not None and checked.unchecked:
            lines += [[("", "")], [("not checked", DIM)]]
            lines += [[(f"  {self._text(text)}", DIM)] for text in checked.unchecked]
        return lines

    def _looked(self) -> list[str]:
        """What has been looked at, so that nobody takes silence for health."""
        run, checked = self._run, self._run.checked
        examined = -1 if checked is None else checked.examined
        read = f"read up to step {run.step}" if run.step else "nothing to read before step 1"
        if examined > 0:
            model = f"run for the rules at step {examined}, and again as the run grows"
        elif examined == 0:
            model = "run for the rules before step 1, and again after some 100 steps"
        else:
            model = "not run for the rules yet"
        done = "not judged yet"
        if run.verdict is not None:
            done = f"judged at step {run.verdict.step}: {run.verdict.text}"
        return [
            "what this rests on",
            f"  the record   {read}",
            f"  the model    {model}",
            f"  the verdict  {self._text(done)}",
        ]

    def _of(self, found: Finding, *, here: bool, aside: bool) -> list[Line]:
        word = "dismissed" if aside else found.level
        style = DIM if aside else STYLE[found.level]
        head: Line = [
            (f"{word} {found.code} ", style),
            (self._text(found.message), "reverse" if here else DIM if aside else ""),
        ]
        if not here:
            return [head]
        path = self._run.loaded.path if self._run.loaded is not None else ""
        lines = [head]
        lines += self._part("evidence", found.evidence)
        lines += self._part("since", f"step {found.since}, found at step {found.step}")
        lines += self._part("why", found.why)
        lines += self._part("what to do", found.hint)
        lines += self._part("rule", f"{found.code} {found.name}: elbo-tui rule {found.code}")
        for number, text in source_lines(path, found.line):
            mark = ">" if number == found.line else " "
            lines.append([(f"  {mark}{number:5} ", DIM), (safe(text, lines=True), "")])
        return [*lines, [("", "")]]

    def _part(self, name: str, text: str) -> list[Line]:
        return [[(f"  {name:11}", KEY), (self._text(text), "")]] if text else []

    def _text(self, text: str) -> str:
        return self._glyphs.plain(safe(text))


def source_lines(path: str, line: int) -> Sequence[tuple[int, str]]:
    """The lines around a line of a file, with their numbers; none where it cannot be read."""
    if line <= 0 or not path:
        return ()
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    first = max(1, line - AROUND)
    return [(first + i, one) for i, one in enumerate(text[first - 1 : line + AROUND])]
