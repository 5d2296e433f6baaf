"""A child that the user's code forks is the user's: it never goes on with our work."""

from __future__ import annotations

import os
import signal
import sys
import weakref
from collections.abc import Callable
from contextlib import ContextDecorator, suppress
from typing import Any, NoReturn


def in_children(method: Callable[[], object]) -> None:
    """Have a bound method called in every process that is forked, as long as its object lives."""
    known = weakref.WeakMethod(method)

    def call() -> None:
        found = known()
        if found is not None:
            found()

    os.register_at_fork(after_in_child=call)


class users_code(ContextDecorator):  # noqa: N801 - reads as `with users_code():`
    """Run code of the user.

    In a child that this code has forked, whatever it returns or raises ends the child at once, with
    the output and the exit code that plain Python would give.
    """

    __slots__ = ("_process",)

    def __enter__(self) -> None:
        self._process = os.getpid()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if os.getpid() != self._process:
            leave(error)


def leave(error: BaseException | None = None) -> NoReturn:
    """End this process as Python ends it where nothing catches the error; None: it is done."""
    code = 0
    with suppress(BaseException):
        code = 1 if error is not None else 0
        if isinstance(error, SystemExit):
            code = _exit_code(error.code)
        elif error is not None:
            sys.excepthook(type(error), error, error.__traceback__)
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    if isinstance(error, KeyboardInterrupt):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        with suppress(ValueError):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)


def _exit_code(code: Any) -> int:
    """That of `sys.exit(code)`, which prints what is no number."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def detach_descriptor(number: int) -> None:
    """In a child: let go of what the parent has open under this number.

    The number itself stays in use, so that whoever closes it later closes nothing else.
    """
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, number, inheritable=False)
        os.close(null)
