"""Names fitted to a column: short, and no two of them alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import takewhile

from rich.cells import cell_len, get_character_cell_size

from tui_elbo.ui.style.text import left, tail


def shared_prefix(names: Sequence[str]) -> str:
    """The dotted parts, with their last dot, that all names begin with; never a whole name."""
    return "".join(f"{part}." for part in _shared([name.split(".")[:-1] for name in names]))


def short_names(names: Iterable[str], group: Iterable[str]) -> dict[str, str]:
    """Each name, without the dotted prefix that the names of the group share.

    `AutoNormal.locs.a` and `AutoNormal.scales.a` become `locs.a` and `scales.a`. Where two names
    would then be the same, all stay as they are.
    """
    whole = {name: name for name in names}
    members = set(group)
    prefix = shared_prefix(sorted(members))
    short = {name: name.removeprefix(prefix) if name in members else name for name in whole}
    return short if len(set(short.values())) == len(short) else whole


def fit_names(
    names: Sequence[str], width: int, more: str = "…", group: Iterable[str] | None = None
) -> dict[str, str]:
    """Each name in exactly `width` cells, so that different names look different.

    Names that are too long lose the prefix that the group shares, then their middle, then what
    they share with others; last they are numbered, in the order of `names`.

    Args:
        names: safe to draw.
        width: cells for each; below five, names may come out alike.
        more: what stands where text was cut.
        group: the names, shown or not, whose common prefix may go; None: all that are shown.
    """
    whole = list(dict.fromkeys(names))
    if all(cell_len(name) <= width for name in whole):
        return {name: left(name, width) for name in whole}
    short = short_names(whole, whole if group is None else group)
    fitted: dict[str, str] = {}
    for cut in _cuts(width, more):
        texts = {name: cut(text) for name, text in short.items()}
        counts = Counter(texts.values())
        taken = set(fitted.values())
        for name, text in texts.items():
            if name not in fitted and counts[text] == 1 and text not in taken:
                fitted[name] = text
        if len(fitted) == len(whole):
            return {name: fitted[name] for name in whole}
    alike = [name for name in whole if name not in fitted]
    start = len(_shared([short[name] for name in alike]))
    texts = {name: left(more + short[name][start:], width, more) for name in alike}
    if len({*texts.values(), *fitted.values()}) == len(whole):
        return {name: fitted.get(name) or texts[name] for name in whole}
    return {
        name: fitted.get(name) or _numbered(number, short[name], width, more)
        for number, name in enumerate(whole, 1)
    }


def _shared(rows: Sequence[Sequence[str]]) -> list[str]:
    """What all rows begin with."""
    columns = zip(*rows, strict=False)
    return [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]


def _cuts(width: int, more: str) -> Iterable[Callable[[str], str]]:
    """Ways to cut a name, the most readable first."""
    for head in (2, *range(3, max(3, width - len(more))), 1, 0):
        yield partial(_middle, width=width, head=head, more=more)


def _middle(text: str, width: int, head: int, more: str) -> str:
    """Exactly `width` cells; of a text that is too long, so many at the front and its end."""
    if cell_len(text) <= width:
        return left(text, width)
    start = ""
    for character in text:
        head -= get_character_cell_size(character)
        if head < 0:
            break
        start += character
    return start + tail(text[len(start) :], width - cell_len(start), more)


def _numbered(number: int, text: str, width: int, more: str) -> str:
    start = f"#{number}"
    room = width - len(start)
    return start + tail(text, room, more) if room > 0 else left(start, width)
