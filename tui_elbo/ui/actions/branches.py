"""The run and its branches as files, beside each other in the workspace."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui_elbo.model.history import History
from tui_elbo.model.records import Column
from tui_elbo.protocol import RunSaved
from tui_elbo.ui.actions.export import stem

if TYPE_CHECKING:
    from tui_elbo.ui.explorer import Explorer


def keep_branches(explorer: Explorer) -> None:
    """Keep the run, and the branch left behind, as files of a folder, and open that folder."""
    session, run = explorer.session, explorer.session.run
    if explorer.session.commands.running:
        explorer.answer("it is running: space pauses it")
        return
    if run.loaded is None or not run.step:
        explorer.answer("no step has been taken: there is nothing to be kept")
        return
    name = stem(run.loaded.name, 0).removesuffix("-0")
    folder = Path.cwd() / f"{name}-branches"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        explorer.answer(f"{folder.name} cannot be made: {error.strerror or error}")
        return
    paths = [folder / file_name(name, run.history, run.settings)]
    if run.branch is not None:
        paths.append(folder / file_name(name, run.branch.history, run.branch.settings))
    left = set(map(str, paths))

    def kept(event: RunSaved) -> None:
        left.discard(event.path)
        if not left:
            explorer.post_message(explorer.SideBySide(folder))

    session.on_saved(kept)
    for path, branch in zip(paths, (False, True), strict=False):
        session.commands.save(str(path), branch=branch)


def file_name(name: str, history: History, settings: Sequence[str]) -> str:
    """The same for the same steps, and another for others."""
    losses = history.values(Column("step", "", "loss"))
    digest = zlib.crc32(" ".join(settings).encode(), zlib.crc32(losses.tobytes()))
    return f"{name}-{history.last}-{digest:08x}.run"
