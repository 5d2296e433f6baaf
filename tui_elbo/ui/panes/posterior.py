"""The posterior as the guide has it: mean and deviation of each latent, and what they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from rich.cells import cell_len

from tui_elbo.model.estimate import Moments, one_digit, rounded
from tui_elbo.model.text import safe
from tui_elbo.ui.style.names import fit_names
from tui_elbo.ui.style.text import number
from tui_elbo.ui.style.theme import BAD, DIM, LATENT
from tui_elbo.ui.widgets.pane import Shown
from tui_elbo.ui.widgets.table import Table
from tui_elbo.ui.widgets.text_lines import Line, Piece

NUMBER, NAME = 10, 8
"""The widths of a reference, a space before it included, and the least of the names."""

SHORT, WITH_ERROR = 10, 15
"""The widths of an estimate without its error, and with it: the space before included."""

LEAST = 13
"""The least width of an estimate with its error."""


@dataclass(frozen=True)
class _Row:
    name: str
    mean: tuple[float, float]
    sd: tuple[float, float]
    """Each with its standard error."""
    wanted: tuple[float, float] | None


class PosteriorPane(Table):
    """Mean and standard deviation of each element of each small latent, in constrained space."""

    NAME: ClassVar[str] = "posterior"
    FROM_LENS: ClassVar[bool] = True

    def __init__(self, *, id: str = "posterior", ascii: bool = False) -> None:
        super().__init__("posterior", "the lens has seen no latent yet", id=id, ascii=ascii)
        self._seen: Mapping[str, Moments] = {}
        self._wanted: Mapping[str, Any] = {}
        self._rows: list[_Row] = []
        self._names: tuple[str, ...] = ()
        self._plan = (NAME, SHORT, False)
        self._labels: dict[str, str] = {}

    def show_run(self, shown: Shown) -> None:
        """Bring it up to date."""
        if not self.display:
            return
        run, seen = shown.run, shown.run.lens_history.latest(shown.step)
        wanted = run.loaded.reference.get("posterior") if run.loaded is not None else None
        detail = "" if seen is None else f"after {seen.state}"
        self.show({} if seen is None else seen.posterior, wanted, detail=detail)

    def show(
        self,
        seen: Mapping[str, Moments],
        wanted: Any,
        *,
        detail: str = "",
    ) -> None:
        """Show what the lens has seen.

        Args:
            seen: of each latent.
            wanted: the reference as the scenario's file gives it: a pair for each latent, by name.
            detail: where, in a word or two.
        """
        self._seen, self.detail = seen, detail
        self._wanted = wanted if isinstance(wanted, Mapping) else {}
        self.apply_filter()
        self.paint()

    def apply_filter(self) -> None:
        """Choose the rows anew."""
        rows = [row for name, one in self._seen.items() for row in self._of(name, one)]
        self._rows = [row for row in rows if self.keeps(row.name)]
        names = tuple(row.name for row in self._rows)
        if names != self._names:
            self._names = names
            self.replan()

    def _of(self, name: str, seen: Moments) -> list[_Row]:
        count = len(seen.mean)
        wanted = _pairs(self._wanted.get(name), count)
        names = [name] if count == 1 else [f"{name}[{i}]" for i in range(count)]
        means = zip(seen.mean.tolist(), seen.mean_error.tolist(), strict=True)
        sds = zip(seen.sd.tolist(), seen.sd_error.tolist(), strict=True)
        return [_Row(*row) for row in zip(names, means, sds, wanted, strict=True)]

    def count(self) -> int:
        """How many elements there are."""
        return len(self._rows)

    def plan(self, width: int) -> None:
        """Name, mean, sd, and what they should be where there is room and something known."""
        known = any(row.wanted for row in self._rows)
        wide = known and width >= NAME + 2 * LEAST + 2 * NUMBER
        longest = max((cell_len(safe(name)) for name in self._names), default=0) + 1
        room = max(0, width - 2 * NUMBER * wide)
        # Names are written in full as long as the errors have room.
        cells = max((room - longest) // 2, min(LEAST, (room - min(longest, NAME)) // 2))
        cells = min(WITH_ERROR, cells)
        if cells < LEAST:
            cells = min(SHORT, (room - NAME) // 2)
        cells = max(6, cells)
        name = max(0, min(room - 2 * cells, max(NAME, longest)))
        self._plan = (name, cells, wide)
        names = [safe(one) for one in self._names]
        self._labels = fit_names(names, max(0, name - 1), self.glyphs.more)

    def header(self) -> Line:
        """The names of the columns."""
        name, cells, wide = self._plan
        text = f"{'latent':{name}.{name}}{'mean':>{cells}}{'sd':>{cells}}"
        text += f"{'ref mean':>{NUMBER}}{'ref sd':>{NUMBER}}" if wide else ""
        return [(text, DIM)]

    def height_of(self, row: int) -> int:
        """One line."""
        del row
        return 1

    def lines_of(self, row: int, whole: bool) -> Sequence[Line]:
        """One element."""
        del whole
        one, wide = self._rows[row], self._plan[-1]
        line: list[Piece] = [
            (self._labels[safe(one.name)] + " ", LATENT),
            *self._estimate(*one.mean),
            *self._estimate(*one.sd),
        ]
        if wide:
            line += [self._number(value, DIM) for value in one.wanted or (None, None)]
        return [line]

    def _estimate(self, value: float, error: float) -> Sequence[Piece]:
        """The digits that the error allows, and the error where there is room."""
        cells = self._plan[1]
        text = rounded(value, error)
        tail = f"{self.glyphs.error}{one_digit(error)}" if error > 0 else ""
        tail = tail if cells >= LEAST and len(text) + len(tail) < cells else ""
        room = cells - 1 - len(tail)
        text = text.rjust(room) if len(text) <= room else number(value, room)
        return [(" " + text, "" if np.isfinite(value) else BAD), (tail, DIM)]

    def _number(self, value: float | None, style: str) -> Piece:
        text = " " + number(value, NUMBER - 1, none=self.glyphs.none)
        return text, BAD if value is not None and not np.isfinite(value) else style


def _pairs(reference: Any, size: int) -> list[tuple[float, float] | None]:
    """Mean and deviation of each element as the scenario's file gives them, if it does."""
    try:
        mean, sd = (np.ravel(np.asarray(part, dtype=np.float64)) for part in reference)
    except (TypeError, ValueError):
        return [None] * size
    if not len(mean) == len(sd) == size:
        return [None] * size
    return [(float(m), float(s)) for m, s in zip(mean, sd, strict=True)]
