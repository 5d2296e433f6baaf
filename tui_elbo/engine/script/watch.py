"""`tui_elbo.watch`: what it refuses, and how it is taken back."""

from __future__ import annotations

import atexit
import sys
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any

from pyro.infer import SVI

from tui_elbo.engine.script.script_source import ScriptSource
from tui_elbo.model.errors import UsageError

_ONE_AT_A_TIME = threading.Lock()


class Watched:
    """An SVI that is watched, until it is closed or the process ends.

    Args:
        svi: what is watched.
        watching: what stands in place of its `step`; None if it cannot be watched here.
    """

    def __init__(self, svi: SVI, watching: ScriptSource | None) -> None:
        self._svi, self._watching = svi, watching

    @property
    def id(self) -> str:
        """What `elbo-tui attach` finds it by; empty if it cannot be watched here."""
        return self._watching.server.id if self._watching else ""

    def close(self) -> None:
        """Watch no more; the SVI is what it was. May be called again."""
        watching, self._watching = self._watching, None
        if watching is not None:
            if _watcher(self._svi) is watching:
                del self._svi.step
            atexit.unregister(watching.close)
            watching.close()

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
    svi: Any, name: str | None = None, *, lens: bool | str = True, findings: bool = True
) -> Watched:
    """As `tui_elbo.watch` says."""
    if not isinstance(svi, SVI):
        what = f"`watch` takes a pyro.infer.SVI, and was given a {_named(type(svi))}"
        raise UsageError(what, hint="call it after `svi = SVI(model, guide, optim, loss)`")
    with _ONE_AT_A_TIME:
        known = _watcher(svi)
        if known is not None and known.server.is_ours:
            what = f"this SVI is watched already, as {known.server.id}"
            raise UsageError(what, hint="call `watch` once, or close what it has returned")
        if known is not None:
            what = "this SVI is watched by the process that this one was forked from"
            raise UsageError(what, hint="make an SVI of its own in the worker, and watch that")
        try:
            script = Path(name) if name else _script()
            watching = ScriptSource(svi, script, lens=lens, findings=findings)
        except UsageError as error:
            # A script is not stopped because nobody could look at it.
            warnings.warn(f"elbo-tui cannot watch: {error}", stacklevel=3)
            return Watched(svi, None)
        svi.step = watching.step
        atexit.register(watching.close)
    print(f"elbo-tui: `elbo-tui attach {watching.server.id}` shows this run", file=sys.stderr)
    return Watched(svi, watching)


def _named(kind: type) -> str:
    """With its module: other classes are called SVI as well."""
    known = kind.__module__ in ("builtins", "__main__")
    return kind.__qualname__ if known else f"{kind.__module__}.{kind.__qualname__}"


def _watcher(svi: SVI) -> ScriptSource | None:
    owner = getattr(vars(svi).get("step"), "__self__", None)
    return owner if isinstance(owner, ScriptSource) else None


def _script() -> Path:
    given = sys.argv[0] if sys.argv else ""
    return Path(given).resolve() if given.endswith(".py") else Path(given or "script")
