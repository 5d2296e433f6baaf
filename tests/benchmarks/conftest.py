"""The table of all benchmarks, at the end."""

from __future__ import annotations

import pytest

from tests.benchmarks.pairs import RESULTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line a benchmark: median, 95 % interval, bound, and by how much it does not hold."""
    if RESULTS:
        terminalreporter.section("benchmarks: median [95 % interval] bound")
        for result in RESULTS:
            terminalreporter.write_line(str(result))
