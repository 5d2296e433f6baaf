"""The one table of keys: it feeds dispatch, the key line, the help, the palette, the README's test.

A new key is a row here and a function in `actions/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_elbo.ui.actions import branches, export, leave, look, run
from tui_elbo.ui.views.views import HelpView

if TYPE_CHECKING:
    from tui_elbo.ui.explorer import Explorer


def _always(_explorer: Explorer) -> str:
    return ""


@dataclass(frozen=True)
class Key:
    """A key and what it does in the explorer."""

    key: str
    """As Textual names it; several, with commas between them, share a row."""
    show: str
    """As a person names it."""
    do: Callable[..., object] | None
    """Takes the explorer, and the key if `takes_key`; None where Textual has its own action."""
    label: str
    """A word for the key line; empty for a key that is only in the help."""
    help: str
    rank: int = 9
    """The key line drops the highest first when it is short of room."""
    needs: str = ""
    """The field of `Capabilities` without which the key is not offered; empty for none."""
    refuses: Callable[[Explorer], str] = _always
    """Why there is no use for it just now, in words; empty if there is."""
    takes_key: bool = False
    by_name: bool = True
    """Whether the palette offers it."""
    hides: bool = False
    """Whether the key line leaves it out while there is no use for it."""

    @property
    def keys(self) -> list[str]:
        """Each key by itself."""
        return [key for key in self.key.split(",") if key]

    def missing(self, explorer: Explorer) -> str:
        """Why the source of the run cannot do it, in words; empty if it can, or is not known."""
        loaded = explorer.session.run.loaded
        return getattr(loaded.capabilities, self.needs) if loaded and self.needs else ""

    def press(self, explorer: Explorer, key: str = "") -> None:
        """Do it, or say why not."""
        why = self.missing(explorer) or self.refuses(explorer)
        if why:
            explorer.session.commands.count = ""
            explorer.answer(why)
        elif self.do is not None:
            self.do(explorer, key or self.keys[0]) if self.takes_key else self.do(explorer)


def offered(explorer: Explorer) -> list[Key]:
    """The keys that the source of the run allows, in the order of the help."""
    return [key for key in KEYS if not key.missing(explorer)]


def by_name(explorer: Explorer) -> list[Key]:
    """What the palette offers."""
    known = (key for key in (*KEYS, *NAMED) if key.do and key.by_name)
    return [key for key in known if not key.missing(explorer)]


def show_help(explorer: Explorer) -> None:
    """Show all the keys."""
    explorer.app.push_screen(HelpView(offered(explorer), ascii=explorer.session.options.ascii))


def palette(explorer: Explorer) -> None:
    """Offer everything by name."""
    explorer.app.action_command_palette()


KEYS = (
    Key(
        "n",
        "n",
        run.step,
        "step",
        "take one step; a count before it, such as 50n, takes so many",
        0,
        refuses=run.stuck,
    ),
    Key(
        "N",
        "N",
        run.back,
        "back",
        "rewind by one step, exactly; 5N rewinds by five",
        3,
        needs="rewind",
        refuses=run.stuck,
    ),
    Key("space", "space", run.run_or_pause, "run  ", "run, and pause", 0, refuses=run.stuck),
    Key(
        "f",
        "f",
        run.finish,
        "finish",
        "finish: run to the scenario's last step",
        4,
        needs="finish",
        refuses=run.finished,
    ),
    Key(
        "u",
        "u",
        run.until,
        "until",
        "run until a step (500), a condition (elbo > -1.2), converged",
        3,
        refuses=run.stuck,
    ),
    Key(
        "s",
        "s",
        run.step_into,
        "",
        "step into: page through one step, site by site",
        needs="step_into",
        refuses=run.stuck,
    ),
    Key(
        "b",
        "b",
        run.add_breakpoint,
        "",
        "breakpoint: stop where a condition holds, or nonfinite, falls 3",
    ),
    Key(
        "B",
        "B",
        run.list_breakpoints,
        "",
        "the breakpoints: turn them on and off, delete them",
    ),
    Key(
        "left_square_bracket",
        "[",
        run.back_to_breakpoint,
        "",
        "rewind to the last step where a breakpoint held",
        needs="rewind",
    ),
    Key(
        "g",
        "g",
        run.toggle_branches,
        "",
        "show the branches that rewinding left behind, or hide them",
        needs="rewind",
        refuses=run.no_branch,
    ),
    Key(
        "G",
        "G",
        branches.list_branches,
        "",
        "branches: enter goes over to one, s saves, d removes it",
        needs="rewind",
        refuses=run.no_branch,
    ),
    Key(
        "t",
        "t",
        run.tune,
        "tune",
        "tune: lr, particles, estimator, optimizer, average; scan of lr",
        2,
        needs="tune",
        refuses=run.stuck,
    ),
    Key(
        "comma,full_stop,left,right",
        ", .",
        look.look,
        "look",
        "move the cursor one step back or on, in all panes",
        3,
        refuses=look.no_step,
        takes_key=True,
    ),
    Key(
        "less_than_sign,greater_than_sign,home,end",
        "< >",
        look.look,
        "",
        "move the cursor by ten steps; home: the first, end: the newest",
        refuses=look.no_step,
        takes_key=True,
        by_name=False,
    ),
    Key(
        "enter",
        "enter",
        run.rewind,
        "",
        "rewind to the cursor; in a table: details of the row",
        refuses=run.follows_newest,
    ),
    Key(
        "r",
        "r",
        run.restart,
        "restart",
        "restart from step 0 in the same engine",
        7,
        needs="restart",
        refuses=run.stuck,
    ),
    Key(
        "R",
        "R",
        run.reload,
        "",
        "reload the file in a fresh engine, even if this one hangs",
        needs="reload",
    ),
    Key(
        "a",
        "a",
        look.next_span,
        "",
        "what moved it since step 0, mark, cursor; last record, update",
    ),
    Key(
        "m",
        "m",
        look.mark,
        "",
        "mark this step: what has moved since; again: no mark",
        refuses=look.no_step,
    ),
    Key(
        "p",
        "p",
        look.break_down,
        "",
        "break the change down by parameter and site, with gradients",
        needs="lens",
    ),
    Key(
        "k",
        "k",
        look.compute_bound,
        "",
        "importance weights now: a bound on log p(x), and its trust",
        needs="lens",
        refuses=look.no_weights,
    ),
    Key(
        "E",
        "E",
        run.show_noise,
        "",
        "estimators: the noise and the time of each; enter tunes",
        needs="lens",
        refuses=run.runs_on,
    ),
    Key("tab", "tab", None, "", "go to the next pane; the arrows then move in a table"),
    Key("v", "v", look.next_page, "view", "show the next tables in the right column", 6),
    Key("z", "z", look.zoom, "", "the pane that has the focus alone, and all of them again"),
    Key("y", "y", look.next_range, "", "y range of this run: robust, full, log"),
    Key(
        "V",
        "V",
        look.toggle_evaluations,
        "",
        "validation: the curve of losses without an update, or log q again",
        refuses=look.no_evaluation,
    ),
    Key("slash", "/", look.filter_table, "", "filter the parameters or sites by name"),
    Key("w", "w", look.watch, "", "watch a parameter: it comes first, and is recorded whole"),
    Key(
        "l",
        "l",
        look.next_order,
        "",
        "the parameters that move most come first, or store order",
    ),
    Key(
        "i",
        "i",
        look.show_notes,
        "notes",
        "the scenario's notes: what to look at, and why it happens",
        3,
        refuses=look.not_loaded,
    ),
    Key("o", "o", look.show_output, "output", "what the model prints, and warnings", 5),
    Key(
        "C",
        "C",
        look.show_timing,
        "",
        "cost: where the seconds of a step go, memory, the slowest step",
    ),
    Key(
        "T",
        "T",
        look.show_trainings,
        "",
        "keep run and branches as files; of a script: list its trainings",
        refuses=look.one_training_of_a_script,
    ),
    Key(
        "j",
        "j",
        look.next_training,
        "",
        "show the next training of a script, and keep it shown",
        refuses=look.one_training,
    ),
    Key(
        "F",
        "F",
        look.show_findings,
        "",
        "the findings and the verdict: what is wrong, what to do",
    ),
    Key(
        "e",
        "e",
        look.show_error,
        "error",
        "the last error with its traceback",
        2,
        refuses=look.no_error,
        hides=True,
    ),
    Key(
        "escape",
        "escape",
        look.cancel,
        "",
        "look at the newest step; close; back to the gallery or the runs",
        by_name=False,
    ),
    Key("question_mark", "?", show_help, "help", "this help", 1),
    Key(
        "ctrl+p",
        "ctrl+p",
        palette,
        "",
        "everything by name, and the themes",
        by_name=False,
    ),
    Key(
        "ctrl+c",
        "ctrl+c",
        run.interrupt,
        "",
        "pause, and interrupt a model that hangs; never quits",
        by_name=False,
    ),
    Key("c", "c", export.copy, "", "copy the table that has the focus, else the step's numbers"),
    Key("S", "S", export.save_screen, "", "picture of the screen, as an SVG file"),
    Key(
        "x",
        "x",
        export.export,
        "",
        "export all numbers as CSV; with ArviZ, draws of the guide too",
        refuses=look.no_step,
    ),
    Key(
        "d",
        "d",
        leave.detach,
        "detach",
        "leave the run going; `elbo-tui attach` shows it again",
        6,
        refuses=leave.cannot_be_left,
    ),
    Key(
        "q",
        "q",
        leave.quit_run,
        "quit",
        "quit and end the run (a script goes on); asks if much is lost",
        1,
    ),
    Key(
        "0,1,2,3,4,5,6,7,8,9",
        "0-9",
        run.digit,
        "",
        "a count for n, N and the cursor",
        takes_key=True,
        by_name=False,
    ),
)
"""Every key of the explorer, in the order of the help."""

NAMED = (
    Key(
        "",
        "",
        run.save,
        "elbo-tui FILE goes on with it",
        "save the run in a file, to go on from another time",
        needs="save",
        refuses=run.stuck,
    ),
)
"""What has a name in the palette and no key; the label says more about it."""

BY_KEY = {key: row for row in KEYS for key in row.keys}
"""The row of each key."""
