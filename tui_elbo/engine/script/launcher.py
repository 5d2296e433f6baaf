"""Which of several processes of one distributed training this one is."""

from __future__ import annotations

import os

VARIABLES = ("RANK", "HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK")
"""What torchrun, Horovod's launcher, mpirun and Lightning's say it by; the first counts."""


def rank() -> int | None:
    """The rank of this process; None if no launcher has given it one."""
    for name in VARIABLES:
        text = os.environ.get(name, "")
        if text.isdecimal():
            return int(text)
    return None


def is_watched(wanted: int) -> bool:
    """Whether this process is the one of this rank, or the only one."""
    return rank() in (None, wanted)
