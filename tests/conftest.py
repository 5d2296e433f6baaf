"""What holds for all tests: no run of theirs is to be found elsewhere, and none outlives them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtime import end_all, runtime_folder


@pytest.fixture(scope="session", autouse=True)
def _no_run_is_left() -> Iterator[None]:
    """A program that is killed with its terminal leaves its engine behind; here it ends."""
    with runtime_folder():
        yield
        end_all()
