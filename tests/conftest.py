"""What holds for all tests: their environment, and that no run of theirs outlives them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import hypothesis
import pytest

from tests.runtime import end_all, runtime_folder

# How long an example takes, and how long it takes to make one, depends on what else runs.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


def pytest_configure() -> None:
    """A shell starts its background jobs with SIGINT ignored, and what they start inherits that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_run_is_left() -> Iterator[None]:
    """A program that is killed with its terminal leaves its engine behind; here it ends."""
    with runtime_folder():
        yield
        end_all()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each program of others shows under `elbo-tui watch`."""
    rows = {
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "program"
    }
    if rows:
        terminalreporter.section("programs under elbo-tui watch")
        for row in sorted(rows):
            terminalreporter.write_line(row)
