"""Executing a scenario's file, afresh each time, and checking it against the contract."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import linecache
import math
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.abc import SourceLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pyro
import torch
from pyro.infer import ELBO, Trace_ELBO
from pyro.optim import Adam, PyroOptim
from torch import Tensor

from tui_elbo.engine.forked import users_code
from tui_elbo.engine.process_state import put_back
from tui_elbo.engine.tracebacks import message, place, shown, trimmed
from tui_elbo.model.errors import ElboError, ScenarioError
from tui_elbo.model.own_settings import TAKEN, Given, Value, fitted
from tui_elbo.model.scenarios import MAX_SEED, ScenarioFile, split_docstring

_PREFIX = "_scenario_"
_OUTSIDE = {"site-packages", "dist-packages"}
_BEFORE = frozenset(sys.modules)
"""What is imported before any scenario is: never executed again, wherever it lies."""
_LIBRARY = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
_loaded: list[tuple[str, Path]] = []
"""The folder to import from and the own folder of the scenario that was loaded last."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """A scenario that has been executed: what its file sets, and the defaults for the rest."""

    source: ScenarioFile
    title: str
    notes: str
    """Markdown: the docstring without its first line."""
    model: Callable[..., Any]
    guide: Callable[..., Any]
    optimizer: PyroOptim
    """Default: Adam with learning rate 0.01."""
    loss: ELBO
    """Default: `Trace_ELBO()`."""
    batch: Callable[[int], Any]
    """The positional arguments of a step, by its 1-based number. Default: none."""
    full_batch: Callable[[], Any] | None
    """All the data, where `batch` is random or partial."""
    seed: int
    """Default: 0."""
    steps: int
    """What "finish" runs to. Default: 1000."""
    scheduler_every: int
    """A `PyroLRScheduler` is stepped after every so many steps. Default: 1."""
    reference: dict[str, Any]
    """Known answers: `log_evidence`, `elbo`, `params`, `posterior`, each optional."""
    ignore: tuple[str, ...] = ()
    """Codes and names of the rules whose findings are not reported."""
    settings: dict[str, Value] = field(default_factory=dict)
    """The scenario's own settings, with the values that it was executed with."""
    own: Mapping[str, Tensor] = field(default_factory=dict)
    """Parameters that are in no store, but in modules; nothing is known of such."""


def load(source: ScenarioFile, text: bytes | None = None, given: Given = ()) -> Scenario:
    """Execute the file, and afresh every module that it imports from its own folder or package.

    Clears the param store first. The random state while the file runs is always the same.

    Args:
        source: where the file is.
        text: what to execute in its place, where it was named by a path; None: what it says.
        given: values of the scenario's own settings, in place of those that it declares.

    Raises:
        ScenarioError: if the file cannot be executed or breaks the contract.
        UsageError: if it declares no such setting, or a value does not fit.
    """
    _make_way(source)
    put_back()
    pyro.set_rng_seed(0)
    try:
        with users_code():
            module = _execute(source, text, given)
    except (KeyboardInterrupt, ElboError):
        raise
    except BaseException as error:
        raise _scenario_error(error, source) from error
    if given:
        fitted(_settings(vars(module).get("settings"), str(source.path)), given)
    title, notes = split_docstring(module.__doc__)
    return Scenario(source, title, notes, **_attributes(vars(module), str(source.path)))


def release() -> None:
    """Drop what the scenario loaded last has left behind, so that nothing of it stays alive.

    What a state has to hold is looked for among all modules of torch that live in the process.
    """
    for _, own in _loaded:
        _forget(own)
    for name in [one for one in sys.modules if one.startswith(_PREFIX)]:
        del sys.modules[name]
    put_back()
    gc.collect()


def own_files() -> list[Path]:
    """The files of the modules that the scenario loaded last has imported from its own folder."""
    own = [own for _, own in _loaded]
    found = [getattr(sys.modules[name], "__file__", None) for name in _belonging(*own)]
    return [Path(file) for file in found if file]


class _Names(dict[str, Any]):
    """The names of a module while its file is executed; `settings` gets the values given to it.

    Whatever is assigned is the module's at once, so that its functions see it.
    """

    def __init__(self, module: ModuleType, given: Given) -> None:
        super().__init__()
        self._own, self._given, self._path = vars(module), given, str(module.__file__)

    def __getitem__(self, name: str) -> Any:
        return self._own[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "settings" and not isinstance(value, ModuleType):
            value = fitted(_settings(value, self._path), self._given)
        self._own[name] = value

    def __delitem__(self, name: str) -> None:
        del self._own[name]


def _execute(source: ScenarioFile, text: bytes | None, given: Given) -> ModuleType:
    importlib.invalidate_caches()
    linecache.checkcache()
    if source.module is not None:
        return _imported(source.module, given)
    if text is None:
        text = source.path.read_bytes()
    else:
        # Tracebacks are to show the lines that are executed; an entry without a time stays.
        lines = text.decode("utf-8", "replace").splitlines(keepends=True)
        linecache.cache[str(source.path)] = (len(text), None, lines, str(source.path))
    code = compile(text, str(source.path), "exec", dont_inherit=True)
    module = ModuleType(_PREFIX + source.path.stem)
    module.__file__ = str(source.path)
    sys.modules[module.__name__] = module
    _run(code, module, given)
    return module


def _imported(name: str, given: Given) -> ModuleType:
    """The module of this name, imported as ever where nothing is given."""
    spec = importlib.util.find_spec(name) if given else None
    if spec is None or not isinstance(spec.loader, SourceLoader):
        return importlib.import_module(name)
    module = importlib.util.module_from_spec(spec)
    code = spec.loader.get_code(name)
    assert code is not None
    sys.modules[name] = module
    _run(code, module, given)
    return module


def _run(code: CodeType, module: ModuleType, given: Given) -> None:
    if given:
        exec(code, module.__dict__, _Names(module, given))
    else:
        exec(code, module.__dict__)


def _make_way(source: ScenarioFile) -> None:
    """Let imports find this scenario's own files before any other, and execute them afresh."""
    for root, own in _loaded:
        _forget(own)
        if root in sys.path:
            sys.path.remove(root)
    _loaded[:] = [(str(source.root), source.own)]
    _forget(source.own)
    sys.path.insert(0, str(source.root))
    # An import takes bytecode of the same second and size for that of the file as it is now.
    sys.dont_write_bytecode = True


def _forget(own: Path) -> None:
    """Drop the modules that lie below `own`, so that they are executed again when imported."""
    for name in _belonging(own):
        del sys.modules[name]


def _belonging(*own: Path) -> list[str]:
    """The names of the modules that lie below one of these folders."""
    found = []
    for name, module in list(sys.modules.items()):
        if name in _BEFORE or name.split(".")[0] == "tui_elbo":
            continue
        file = getattr(module, "__file__", None)
        # A folder without an `__init__.py` is a package too, and keeps hold of what is in it.
        places = [file] if file else list(getattr(module, "__path__", ()))
        if places and any(all(_lies_below(one, p) for p in places) for one in own):
            found.append(name)
    return found


def _lies_below(own: Path, path: str) -> bool:
    """Asked of thousands of modules at each execution."""
    parts, depth = _parts(path), len(own.parts)
    if parts[:depth] != own.parts or any(map(Path(path).is_relative_to, _LIBRARY)):
        return False
    return not _OUTSIDE.intersection(parts[depth:])


@cache
def _parts(path: str) -> tuple[str, ...]:
    return Path(path).parts


def _scenario_error(error: BaseException, source: ScenarioFile) -> ScenarioError:
    path = str(source.path)
    if isinstance(error, SyntaxError) and error.filename == path:
        where = f"{path}:{error.lineno}"
        return ScenarioError(f"does not parse: {error.msg}", where=where, traceback=trimmed(error))
    where, trace = place(error, source.own) or path, trimmed(error)
    if isinstance(error, SystemExit):
        what = f"the file called sys.exit({shown(error.code)}) while it was loaded"
        hint = 'put what runs on its own under `if __name__ == "__main__":`'
        return ScenarioError(what, where=where, hint=hint, traceback=trace)
    what, hint = message(error), ""
    if isinstance(error, ModuleNotFoundError):
        hint = f"install it beside elbo-tui, in {sys.prefix}"
    if isinstance(error, ImportError) and "relative import" in what:
        hint = "a file inside a package is named as a module: elbo-tui package.file"
    return ScenarioError(what, where=where, hint=hint, traceback=trace)


def _attributes(names: dict[str, Any], path: str) -> dict[str, Any]:
    """The contract's attributes, checked, with defaults for those that the file does not set."""
    for name in ("model", "guide"):
        if name not in names:
            hint = f"define `def {name}(...)`" + (" or an AutoGuide" if name == "guide" else "")
            raise ScenarioError(f"has no `{name}`", where=path, hint=hint)
        _check_callable(names[name], name, path)
    found: dict[str, Any] = {
        "model": names["model"],
        "guide": names["guide"],
        "optimizer": _optimizer(names.get("optimizer"), path),
        "loss": _loss(names.get("loss"), path),
        "batch": names.get("batch", _no_arguments),
        "full_batch": names.get("full_batch"),
        "reference": names.get("reference", {}),
    }
    _check_callable(found["batch"], "batch", path)
    if found["full_batch"] is not None:
        _check_callable(found["full_batch"], "full_batch", path)
    if not isinstance(found["reference"], dict):
        raise _wrong("reference", found["reference"], "a dict", path)
    found["ignore"] = _ignored(names.get("ignore", ()), path)
    found["settings"] = _settings(names.get("settings"), path)
    for name, default, least in (("seed", 0, 0), ("steps", 1000, 1), ("scheduler_every", 1, 1)):
        value = names.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise _wrong(name, value, f"a whole number, at least {least}", path)
        if name == "seed" and value > MAX_SEED:
            raise _wrong(name, value, f"at most {MAX_SEED}", path)
        found[name] = value
    return found


def _ignored(value: Any, path: str) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if isinstance(given, list | tuple | set | frozenset):
        codes = tuple(one for one in given if isinstance(one, str))
        if len(codes) == len(given):
            return codes
    raise _wrong("ignore", value, 'a list of codes of rules, such as ["SVI012"]', path)


def _settings(value: Any, path: str) -> dict[str, Value]:
    """What a scenario declares; a module of that name, such as Pyro's, is none of our business."""
    if value is None or isinstance(value, ModuleType):
        return {}
    if not isinstance(value, Mapping):
        raise _wrong("settings", value, 'a dict, such as {"width": 0.1}', path)
    for name, one in value.items():
        if not isinstance(name, str) or not name.isidentifier() or name in TAKEN:
            why = "a setting of the run" if name in TAKEN else "no name"
            what = f"`settings` declares {shown(name)}, which is {why}"
            raise ScenarioError(what, where=path, hint="give it another name, such as width")
        finite = not isinstance(one, float) or math.isfinite(one)
        if not isinstance(one, bool | int | float | str) or not finite:
            what = f"`settings` declares {name} as {_short(one)}"
            hint = "a setting is a finite number, a string, or True or False"
            raise ScenarioError(what, where=path, hint=hint)
    return dict(value)


def _no_arguments(step: int) -> tuple[()]:  # noqa: ARG001
    return ()


def _check_callable(value: Any, name: str, path: str) -> None:
    if not callable(value):
        raise _wrong(name, value, "a function", path)


def _optimizer(value: Any, path: str) -> PyroOptim:
    if value is None:
        return Adam({"lr": 0.01})
    if isinstance(value, PyroOptim):
        return value
    hint = 'use one of pyro.optim, such as pyro.optim.Adam({"lr": 0.01})'
    if isinstance(value, torch.optim.Optimizer):
        hint = f'use pyro.optim.{type(value).__name__}({{"lr": ...}}), which takes no parameters'
    raise _wrong("optimizer", value, "a PyroOptim", path, hint)


def _loss(value: Any, path: str) -> ELBO:
    if value is None:
        return Trace_ELBO()
    if isinstance(value, ELBO):
        return value
    hint = "use one of pyro.infer, such as pyro.infer.Trace_ELBO()"
    if isinstance(value, type) and issubclass(value, ELBO):
        hint = f"call it: loss = {value.__name__}()"
    raise _wrong("loss", value, "a pyro.infer.ELBO", path, hint)


def _wrong(name: str, value: Any, wanted: str, path: str, hint: str = "") -> ScenarioError:
    what = f"`{name}` must be {wanted}, and is {_short(value)}"
    return ScenarioError(what, where=path, hint=hint)


def _short(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, str | int | float | bool | None):
        return shown(value)
    return f"a {type(value).__name__}"
