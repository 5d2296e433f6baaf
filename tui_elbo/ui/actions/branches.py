"""The branches of a run: one to go over to, and all of them as files beside each other."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui_elbo.model.history import History
from tui_elbo.model.records import Column
from tui_elbo.protocol import RunSaved
from tui_elbo.ui.actions.export import stem
from tui_elbo.ui.actions.run import drive
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.views.branches import BranchesView

if TYPE_CHECKING:
    from tui_elbo.ui.explorer import Explorer


def list_branches(explorer: Explorer) -> None:
    """List the branches, to go over to one, save or remove it."""
    commands = explorer.session.commands

    def switch(number: int) -> None:
        explorer.panes.shows_branches = True
        drive(explorer, lambda: commands.switch(number))

    def save(number: int) -> str:
        branch = explorer.session.run.branches[number]
        found = _folder(explorer)
        if isinstance(found, str):
            return found
        folder, name = found
        commands.save(str(folder / file_name(name, branch.history, branch.settings)), number)
        return f"branch {number} goes into {folder.name}"

    glyphs = ASCII if explorer.session.options.ascii else UNICODE
    view = BranchesView(
        explorer.session.run, glyphs, switch=switch, save=save, remove=commands.remove_branch
    )
    explorer.app.push_screen(view, lambda _: explorer.redraw())


def keep_branches(explorer: Explorer) -> None:
    """Keep the run and its branches as files of a folder, and open that folder."""
    session, run = explorer.session, explorer.session.run
    if explorer.session.commands.running:
        explorer.answer("it is running: space pauses it")
        return
    if run.loaded is None or not run.step:
        explorer.answer("no step has been taken: there is nothing to be kept")
        return
    found = _folder(explorer)
    if isinstance(found, str):
        explorer.answer(found)
        return
    folder, name = found
    paths = {0: folder / file_name(name, run.history, run.settings)}
    for number, branch in run.branches.items():
        paths[number] = folder / file_name(name, branch.history, branch.settings)
    left = set(map(str, paths.values()))

    def kept(event: RunSaved) -> None:
        left.discard(event.path)
        if not left:
            explorer.post_message(explorer.SideBySide(folder))

    session.on_saved(kept)
    for number, path in paths.items():
        session.commands.save(str(path), number)


def _folder(explorer: Explorer) -> tuple[Path, str] | str:
    """The folder of the run's branches, made if need be, and the run's name; or why not."""
    loaded = explorer.session.run.loaded
    name = stem(loaded.name if loaded else "", 0).removesuffix("-0")
    folder = Path.cwd() / f"{name}-branches"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        return f"{folder.name} cannot be made: {error.strerror or error}"
    return folder, name


def file_name(name: str, history: History, settings: Sequence[str]) -> str:
    """The same for the same steps, and another for others."""
    losses = history.values(Column("step", "", "loss"))
    digest = zlib.crc32(" ".join(settings).encode(), zlib.crc32(losses.tobytes()))
    return f"{name}-{history.last}-{digest:08x}.run"
