"""Trainings in the shapes of Pyro's own example programs, small and on made-up data.

They are shapes and not the files: each drives `svi.step` the way its namesake does. A training
calls `begin(svi)` where a script would have its one more line, and returns its losses.
"""

from tests.engine.shapes import networks, plain
from tests.engine.shapes.registry import SHAPES

__all__ = ["SHAPES", "networks", "plain"]
