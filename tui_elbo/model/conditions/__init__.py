"""Conditions such as `elbo > -1.2`: parsed, checked against the columns of a run, evaluated.

A condition is a step number (`500`), or comparisons of a step's numbers:

    elbo > -1.2                                 also loss, log_p, log_q, seconds, step, loss[0]
    params["AutoNormal.locs.z"].mean > 0.9      also .sd, .min, .max, .grad_norm, .update_norm
    params["phi"] > 1                           the only element; params["w"][3], params["w"][0, 1]
    sites["x"].log_p < -100                     also .log_q
    grad_norm > 100                             the largest of any parameter; also update_norm
    not finite(elbo)                            also nan(…), inf(…)

joined by `and`, `or`, `not` and parentheses, with chains (`-2 < elbo < -1`), `+ - * /` and `abs`.

A step that lacks a number meets neither a comparison of it nor that comparison's opposite. NaN
compares false, as everywhere. The text is read as Python's syntax; only what is listed here is
taken from it, and none of it is ever executed.
"""

from tui_elbo.model.conditions.condition import Condition, Numbers, parse
from tui_elbo.model.conditions.parser import ConditionError

__all__ = ["Condition", "ConditionError", "Numbers", "parse"]
