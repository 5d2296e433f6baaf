"""The one table of keys: it feeds dispatch, the key line, the help and the README's test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """A key and what it does in the explorer."""

    key: str
    """As Textual names it; several, with commas between them, do the same."""
    show: str
    """As a person names it."""
    action: str
    """The name of the explorer's method is `action_` and this; empty where Textual has its own."""
    label: str
    """A word for the key line; empty for a key that is only in the help."""
    help: str
    rank: int = 9
    """The key line drops the highest first when it is short of room."""


KEYS = (
    Key(
        "n", "n", "step", "step", "take one step; a count before it, such as 50n, takes so many", 0
    ),
    Key(
        "N",
        "N",
        "back",
        "back",
        "take the run one step back, exactly; 5N takes five",
        2,
    ),
    Key("space", "space", "run_pause", "run  ", "run, and pause", 0),
    Key("f", "f", "finish", "finish", "finish: run to the scenario's last step", 3),
    Key("r", "r", "restart", "restart", "restart from step 0 in the same engine", 6),
    Key(
        "R",
        "R",
        "reload",
        "",
        "reload the file in a fresh engine, even if this one hangs",
    ),
    Key(
        "i",
        "i",
        "show_notes",
        "notes",
        "the scenario's notes: what to look at, and why it happens",
        2,
    ),
    Key("o", "o", "show_output", "output", "what the model prints, and warnings", 4),
    Key("e", "e", "show_error", "error", "the last error with its traceback", 5),
    Key("tab", "tab", "", "", "go to the next pane; the arrows then move in a table"),
    Key(
        "escape",
        "escape",
        "cancel",
        "",
        "forget the count; close what is open; back to the gallery",
    ),
    Key("question_mark", "?", "show_help", "help", "this help", 1),
    Key(
        "ctrl+c", "ctrl+c", "interrupt", "", "pause, and interrupt a model that hangs; never quits"
    ),
    Key("q", "q", "quit", "quit", "quit at once", 1),
    Key("0,1,2,3,4,5,6,7,8,9", "0-9", "digit", "", "a count for the next n or N"),
)
"""Every key of the explorer, in the order of the help."""


def key_line(width: int, without: Sequence[str] = (), gap: int = 2) -> list[Key]:
    """The keys whose labels fit into `width` cells, in the order of the table.

    Args:
        width: the room for them.
        without: actions that there is no use for just now.
        gap: the cells between two keys.
    """
    shown = [key for key in KEYS if key.label and key.action not in without]
    while shown and sum(len(k.show) + 1 + len(k.label) + gap for k in shown) - gap > width:
        worst = max(key.rank for key in shown)
        shown.remove([key for key in shown if key.rank == worst][-1])
    return shown
