"""Which style the theme gives each part of a drawing."""

from __future__ import annotations

from tui_elbo.ui.plot.cell_grid import (
    AXIS,
    BAND,
    BOTH,
    BRANCH,
    BROKEN,
    CURSOR,
    MARK,
    MEAN,
    OUTSIDE,
    PHI,
    REFERENCE,
    THETA,
)

CLASSES = {
    BAND: "curve--band",
    MEAN: "curve--mean",
    REFERENCE: "curve--reference",
    AXIS: "curve--axis",
    CURSOR: "curve--cursor",
    BROKEN: "curve--broken",
    OUTSIDE: "curve--outside",
    MARK: "curve--mark",
    PHI: "curve--phi",
    THETA: "curve--theta",
    BOTH: "curve--both",
    BRANCH: "curve--branch",
}
"""The component class that the theme gives each part its colour by."""
