"""How much memory this process holds."""

from __future__ import annotations

import os
import resource
import sys


def memory_held() -> int:
    """Bytes that this process holds in memory; 0 where that cannot be found out."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def memory_peak() -> int:
    """The most bytes that it has held."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024
