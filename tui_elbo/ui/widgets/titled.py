"""A title in a border, of which another one costs one row."""

from __future__ import annotations

from typing import Self

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget


class Titled(Widget):
    """A widget with a title in its border that changes while it is looked at."""

    _entitled, _entitling = "", False

    def entitle(self, title: str) -> None:
        """Put this in the border: plain text that is safe to draw."""
        if title != self._entitled:
            self._entitled, self._entitling = title, True
            self.border_title = Content(title)
            self._entitling = False

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Draw again; of a new title the row that it is in, where Textual would draw everything."""
        if self._entitling:
            regions = (Region(-1, -1, self.outer_size.width, 1),)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
