"""The plain sentence beside a run that has gone on since the lens has looked."""

from __future__ import annotations

from tui_elbo.ui.panes.sentence import _up_to


def test_what_is_said_of_a_step_long_past_names_it() -> None:
    text = "No θ here: log p rose 1 nats because φ moved q to where p is high."
    assert _up_to(7, text).startswith("Up to step 7, no θ here: log p rose")
    assert _up_to(7, "ELBO rose.") == "Up to step 7, ELBO rose."
    assert _up_to(7, "θ took 3 nats.") == "Up to step 7, θ took 3 nats."
