"""The one table of keys: it feeds dispatch, the key line, the help and the README's test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """A key and what it does in the explorer."""

    key: str
    """As Textual names it; several, with commas between them, share a row."""
    show: str
    """As a person names it."""
    action: str
    """The name of the explorer's method is `action_` and this; empty where Textual has its own."""
    label: str
    """A word for the key line; empty for a key that is only in the help."""
    help: str
    rank: int = 9
    """The key line drops the highest first when it is short of room."""
    told: bool = False
    """The method is told which of the row's keys was pressed."""

    @property
    def actions(self) -> list[tuple[str, str]]:
        """Each key by itself, and the action with its argument."""
        keys = self.key.split(",")
        return [(key, f"{self.action}('{key}')" if self.told else self.action) for key in keys]


KEYS = (
    Key(
        "n", "n", "step", "step", "take one step; a count before it, such as 50n, takes so many", 0
    ),
    Key("N", "N", "back", "back", "take the run one step back, exactly; 5N takes five", 2),
    Key("space", "space", "run_pause", "run  ", "run, and pause", 0),
    Key("f", "f", "finish", "finish", "finish: run to the scenario's last step", 4),
    Key("u", "u", "until", "until", "run until a step (500) or a condition (elbo > -1.2)", 3),
    Key("s", "s", "step_into", "", "step into: page through one step, site by site"),
    Key("b", "b", "break", "", "breakpoint: stop where a condition holds, or nonfinite, falls 3"),
    Key("B", "B", "breakpoints", "", "the breakpoints: turn them on and off, delete them"),
    Key(
        "left_square_bracket",
        "[",
        "break_back",
        "",
        "take the run back to the last step where a breakpoint held",
    ),
    Key("g", "g", "ghost", "", "show the future that going back left behind, or hide it"),
    Key("G", "G", "swap", "", "change places with it: the run goes over to its end"),
    Key(
        "t",
        "t",
        "tune",
        "tune",
        "tune: lr, particles, estimator, optimizer, from now on",
        4,
    ),
    Key(
        "comma,full_stop,left,right",
        ", .",
        "look",
        "look",
        "look one step back or on, in all panes; touches nothing",
        3,
        told=True,
    ),
    Key(
        "less_than_sign,greater_than_sign,home,end",
        "< >",
        "look",
        "",
        "look ten steps back or on; home: the first, end: the newest",
        told=True,
    ),
    Key(
        "enter",
        "enter",
        "enter",
        "",
        "take the run to where you look; in a table: all about one",
    ),
    Key("r", "r", "restart", "restart", "restart from step 0 in the same engine", 7),
    Key("R", "R", "reload", "", "reload the file in a fresh engine, even if this one hangs"),
    Key("a", "a", "span", "", "what moved it since step 0, a mark, the look; last record, update"),
    Key("m", "m", "mark", "", "mark this step: what has moved since; again: no mark"),
    Key("p", "p", "who", "", "who in particular: each parameter and site, what pulls at it"),
    Key("k", "k", "weigh", "", "importance weights now: a bound on log p(x), and its trust"),
    Key("tab", "tab", "", "", "go to the next pane; the arrows then move in a table"),
    Key("v", "v", "view", "view", "the next panes at the right", 6),
    Key("z", "z", "zoom", "", "the pane that has the focus alone, and all of them again"),
    Key("y", "y", "range", "", "y range: robust, full, log"),
    Key("slash", "/", "filter", "", "filter the parameters or sites by name"),
    Key("w", "w", "watch", "", "watch a parameter: it comes first, and is recorded whole"),
    Key("l", "l", "largest", "", "the parameters that move most come first, or store order"),
    Key(
        "i",
        "i",
        "show_notes",
        "notes",
        "the scenario's notes: what to look at, and why it happens",
        3,
    ),
    Key("o", "o", "show_output", "output", "what the model prints, and warnings", 5),
    Key("e", "e", "show_error", "error", "the last error with its traceback", 2),
    Key("escape", "escape", "cancel", "", "look at the newest step; close; back to the gallery"),
    Key("question_mark", "?", "show_help", "help", "this help", 1),
    Key("ctrl+p", "ctrl+p", "palette", "", "everything by name, and the themes"),
    Key(
        "ctrl+c", "ctrl+c", "interrupt", "", "pause, and interrupt a model that hangs; never quits"
    ),
    Key("c", "c", "copy", "", "copy the table that has the focus, else the step's numbers"),
    Key("S", "S", "save_screen", "", "save the screen as SVG"),
    Key("x", "x", "export", "", "export all numbers as CSV; with ArviZ, draws of the guide too"),
    Key("d", "d", "detach", "detach", "leave the run going; `elbo-tui attach` shows it again", 6),
    Key("q", "q", "quit", "quit", "quit, and end the run; asks while it runs", 1),
    Key("0,1,2,3,4,5,6,7,8,9", "0-9", "digit", "", "a count for n, N and the look", told=True),
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
