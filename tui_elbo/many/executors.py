"""Where the chunks of a sweep are taken: processes here, a Dask cluster, or any other executor."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tui_elbo.many.apart import ProcessDiedError, run_apart
from tui_elbo.many.chunk import begin_worker, run_chunk
from tui_elbo.model.errors import UsageError

DASK = "dask:"

DASK_TIMEOUT = 10.0
"""Seconds in which the scheduler of a cluster must answer, and be found again once it is lost."""

DASK_LOOK_EVERY = 2.0
"""Seconds between two looks at how many workers a cluster has."""


@dataclass(frozen=True)
class Workers:
    """What takes the chunks."""

    make: Callable[[], Executor]
    """A new executor; also in place of one whose workers have died."""
    work: Callable[[bytes], bytes]
    """What it is given to do with a task."""
    count: int
    """How many chunks are under way at once."""
    end: Callable[[Executor], None]
    """Ends an executor without waiting for its chunks."""
    run_errors: tuple[type[Exception], ...] = (Exception,)
    """What a chunk raises where its worker has died of it; anything else is the place's fault."""
    trouble: Callable[[], str] = lambda: ""
    """What keeps the chunks waiting just now, in words; empty where nothing does.
    Raises a `UsageError` where nothing will take them any more."""


def local(count: int | None) -> Workers:
    """A pool of processes on this machine, as many as there are cores unless said otherwise."""
    many = count or cores()

    def make() -> Executor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(many, mp_context=context, initializer=_begin_worker)

    return Workers(make, run_chunk, many, _end_pool)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begin_worker() -> None:
    """Leave ctrl+c to the sweep, end with it, and keep the standard output free of prints."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    begin_worker()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _end_pool(pool: Executor) -> None:
    for process in multiprocessing.active_children():
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)


def elsewhere(place: str, count: int | None) -> Workers:
    """The executor at a place: `dask:tcp://HOST:PORT`, or `package.module:function`.

    Its workers may have several threads, and may not be allowed to start processes of the library;
    so each chunk is taken in a process of its own that the worker keeps.

    Raises:
        UsageError: if there is no such place.
    """
    if place.startswith(DASK):
        return _dask(place.removeprefix(DASK), count)
    module, colon, name = place.partition(":")
    hint = "name dask:tcp://HOST:PORT, or package.module:function, which returns an Executor"
    if not colon or not module or not name:
        raise UsageError(f"--on {place} names no executor", hint=hint)
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--on {place}: {error}", hint=hint) from error

    def make() -> Executor:
        with _said(place):
            made = function()
        if not isinstance(made, Executor):
            what = f"--on {place}: it returned a {type(made).__name__}, and no Executor"
            raise UsageError(what, hint=hint)
        return made

    return Workers(make, run_apart, count or cores(), _forget, APART_ERRORS)


APART_ERRORS = (BrokenExecutor, ProcessDiedError)


def _dask(address: str, count: int | None) -> Workers:
    try:
        from distributed import Client, KilledWorker  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        what = "--on dask: takes the library distributed, which is not installed"
        raise UsageError(what, hint='pip install "elbo-tui[dask]"') from error
    # It logs a lost scheduler with a traceback; `_DaskTrouble` says it in a line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with _said(f"{DASK}{address}"):
        client = Client(address, timeout=DASK_TIMEOUT)
        threads = sum(client.nthreads().values())
    if not threads and not count:
        raise UsageError(f"the cluster at {address} has no workers", hint="start some, or --jobs N")

    def make() -> Executor:
        made: Executor = client.get_executor(pure=False, retries=0)
        return made

    def end(executor: Executor) -> None:
        if client.status == "running":
            with suppress(Exception):
                executor.shutdown(wait=False)
        with suppress(Exception):
            client.close(timeout=1)

    errors = (*APART_ERRORS, KilledWorker)
    trouble = _DaskTrouble(client, address)
    return Workers(make, run_apart, count or threads, end, errors, trouble)


class _DaskTrouble:
    """What is wrong with a cluster."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._next, self._found = 0.0, ""

    def __call__(self) -> str:
        """The words for it; empty where nothing is wrong.

        Raises:
            UsageError: if its scheduler is gone, so that the chunks under way never come back.
        """
        match self._client.status:
            case "running":
                return self._workers()
            case "connecting":
                return "the connection to the cluster's scheduler is lost: waiting for it"
        what = f"the scheduler of the cluster at {self._address} is gone"
        hint = "what is finished is kept: start a cluster, and the same command goes on from it"
        raise UsageError(what, hint=hint)

    def _workers(self) -> str:
        now = time.monotonic()
        if now >= self._next:
            client = self._client
            with suppress(Exception):  # The scheduler may be lost meanwhile.
                found = client.sync(client.scheduler.ncores, callback_timeout=DASK_TIMEOUT)
                self._found = "" if found else "the cluster has no workers: waiting for some"
            self._next = now + DASK_LOOK_EVERY
        return self._found


@contextmanager
def _said(place: str) -> Iterator[None]:
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        what = f"--on {place}: {type(error).__name__}: {error}"
        raise UsageError(what, hint="is it running, and is the address right?") from error


def _forget(executor: Executor) -> None:
    with suppress(Exception):
        executor.shutdown(wait=False, cancel_futures=True)
