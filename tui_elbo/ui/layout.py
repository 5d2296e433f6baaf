"""Where the panes are, and their frames: neighbours share an edge, so that no row is lost."""

from __future__ import annotations

SMALLEST = (60, 18)
"""Columns and rows below which there is one sentence instead."""


def share(room: int, upper: int, lower: int) -> int:
    """How many of `room` rows the lower of two panes gets, if they would like so many.

    The upper one gets what is left over; neither gets more than half at the other's cost.
    """
    half = room // 2
    return lower if lower <= max(half, room - upper) else max(half, room - upper)


def _frames(screen: str, kind: str, colour: str, focus: str, title: str) -> str:
    return f"""
    {screen} {{
        CurvePane, Table {{
            border: {kind} {colour}; border-bottom: none;
            border-title-color: {title}; border-title-style: bold;
            &.-last {{ border-bottom: {kind} {colour}; }}
            &:focus {{
                border: {kind} {focus}; border-bottom: none; border-title-color: {focus};
            }}
            &.-last:focus {{ border-bottom: {kind} {focus}; }}
        }}
    }}
    """


CSS = "".join(
    (
        """
    Explorer {
        overflow: hidden hidden;
        #panes { height: 1fr; }
        #curves { width: 1fr; }
        #tables { width: 60%; max-width: 68; }
        CurvePane, Table, Why { height: 1fr; }
        StatusLine, KeyLine { height: 1; }
        FaultLine { height: 2; }
        TooSmall, Why { display: none; }
        &.-silent { #log_p, #log_q { display: none; } }
        &.-silent Why { display: block; height: auto; }
        &.-small { #panes, StatusLine, KeyLine, FaultLine { display: none; } }
        &.-small TooSmall { display: block; }
    }
    """,
        _frames("Explorer", "solid", "$foreground 25%", "$primary", "$foreground"),
        _frames("Explorer:ansi", "solid", "ansi_bright_black", "ansi_blue", "ansi_default"),
        _frames("ElboApp.-ascii Explorer", "ascii", "$foreground 25%", "$primary", "$foreground"),
        _frames(
            "ElboApp.-ascii Explorer:ansi",
            "ascii",
            "ansi_bright_black",
            "ansi_blue",
            "ansi_default",
        ),
        "ElboApp.-ascii View #frame { border: ascii $primary; }",
    )
)
