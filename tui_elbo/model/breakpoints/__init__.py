"""Where a run is to stop: conditions, and what no condition can say of a single step.

Besides what `tui_elbo.model.conditions` reads, a breakpoint is one of:

    nonfinite                           a loss, gradient, parameter or site that is not finite
    nonfinite except z, loc             the same, but for these sites and parameters
    falls 3                             the ELBO falls by more than 3 running standard deviations
    sign params["phi"]                  a number changes its sign
    still 100                           a parameter has not moved for 100 steps; also: still 100 loc

Each is asked step by step while a run goes on, and about a whole history at once.
"""

from tui_elbo.model.breakpoints.parse import EXAMPLES, WORDS, Stop, last_held, stop_at, told

__all__ = ["EXAMPLES", "WORDS", "Stop", "last_held", "stop_at", "told"]
