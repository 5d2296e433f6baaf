"""What Python runs as it starts, in a script that `elbo-tui watch` has started.

This folder is the first of its PYTHONPATH. Python itself then runs the script, which so is the real
`__main__`; all that is different is put back before its first line: the environment, `sys.path` and
the `sitecustomize` of this installation, if it has one.
"""

import importlib
import os
import sys


def _begin() -> None:
    wanted = os.environ.pop("ELBO_TUI_WATCH", "")
    if not wanted:
        return
    place = os.path.dirname(__file__)
    sys.path[:] = [path for path in sys.path if path != place]
    sys.path_importer_cache.pop(place, None)
    try:
        from tui_elbo.engine.script import import_hook  # noqa: PLC0415

        import_hook.begin(wanted)
    except Exception as error:
        print(f"elbo-tui cannot watch: {error}", file=sys.stderr)
    own = sys.modules.pop(__name__)
    try:
        importlib.import_module(__name__)
    except ImportError as error:
        if error.name != __name__:
            raise
    finally:
        sys.modules.setdefault(__name__, own)


_begin()
