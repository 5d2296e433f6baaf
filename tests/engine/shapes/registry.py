"""The trainings by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyro.infer import SVI

Begin = Callable[[SVI], object]
Training = Callable[[Begin], list[Any]]

SHAPES: dict[str, Training] = {}


def shape(train: Training) -> Training:
    SHAPES[train.__name__] = train
    return train
