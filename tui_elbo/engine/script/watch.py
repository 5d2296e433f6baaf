"""`tui_elbo.watch` and `tui_elbo.watch_all`: what they refuse, and how they are taken back."""

from __future__ import annotations

import sys
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any

from pyro.infer import SVI

from tui_elbo.engine.script import launcher, script_session, svi_hook
from tui_elbo.engine.script.script_session import ScriptSession
from tui_elbo.engine.script.script_source import ScriptSource
from tui_elbo.engine.script.step_arguments import FullBatch
from tui_elbo.model.errors import UsageError

_ONE_AT_A_TIME = threading.Lock()


class Watched:
    """What is watched, until it is closed or the process ends.

    Args:
        session: that of the process; None if nothing can be watched here.
        source: the training of one SVI; None for all of them.
    """

    def __init__(self, session: ScriptSession | None, source: ScriptSource | None) -> None:
        self._session, self._watching = session, source

    @property
    def id(self) -> str:
        """What `elbo-tui attach` finds it by; empty if it cannot be watched here."""
        return self._session.id if self._session is not None else ""

    def close(self) -> None:
        """Watch no more; the SVI is what it was. May be called again."""
        session, source = self._session, self._watching
        self._session = self._watching = None
        if session is None:
            return
        if source is not None:
            session.remove(source)
        elif not session.launched:
            session.close()

    def __enter__(self) -> Watched:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def watch(
    svi: Any,
    name: str | None = None,
    *,
    lens: bool | str = True,
    findings: bool = True,
    full_batch: FullBatch | None = None,
    rank: int = 0,
) -> Watched:
    """As `tui_elbo.watch` says."""
    if not isinstance(svi, SVI):
        what = f"`watch` takes a pyro.infer.SVI, and was given a {_named(type(svi))}"
        raise UsageError(what, hint="call it after `svi = SVI(model, guide, optim, loss)`")
    if not launcher.is_watched(rank):
        return Watched(None, None)
    with _ONE_AT_A_TIME:
        session = script_session.current()
        known = session.known(svi) if session is not None else None
        if session is not None and known is not None:
            if not session.server.is_ours:
                what = "this SVI is watched by the process that this one was forked from"
                raise UsageError(what, hint="make an SVI of its own in the worker, and watch that")
            if session.watches_all:
                return Watched(session, known)
            what = f"this SVI is watched already, as {session.id}"
            raise UsageError(what, hint="call `watch` once, or close what it has returned")
        first = session is None or not session.server.is_ours
        try:
            session = script_session.begin(Path(name) if name else _script())
        except UsageError as error:
            # A script is not stopped because nobody could look at it.
            warnings.warn(f"elbo-tui cannot watch: {error}", stacklevel=3)
            return Watched(None, None)
        svi_hook.patch(type(svi), session.source)
        source = session.add(svi, name or "", lens=lens, findings=findings, full_batch=full_batch)
    if first:
        _say(session)
    return Watched(session, source)


def watch_all(*, rank: int = 0) -> Watched:
    """As `tui_elbo.watch_all` says."""
    if not launcher.is_watched(rank):
        return Watched(None, None)
    session = script_session.current()
    first = session is None or not session.server.is_ours
    try:
        session = script_session.begin(_script(), watches_all=True)
    except UsageError as error:
        warnings.warn(f"elbo-tui cannot watch: {error}", stacklevel=3)
        return Watched(None, None)
    if first:
        _say(session)
    return Watched(session, None)


def _say(session: ScriptSession) -> None:
    print(f"elbo-tui: `elbo-tui attach {session.id}` shows this run", file=sys.stderr)


def _named(kind: type) -> str:
    """With its module: other classes are called SVI as well."""
    known = kind.__module__ in ("builtins", "__main__")
    return kind.__qualname__ if known else f"{kind.__module__}.{kind.__qualname__}"


def _script() -> Path:
    given = sys.argv[0] if sys.argv else ""
    if Path(given).stem == "ipykernel_launcher":
        return Path("notebook")
    return Path(given).resolve() if given.endswith(".py") else Path(given or "script")
