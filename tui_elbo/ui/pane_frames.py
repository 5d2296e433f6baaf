"""Where the panes are, and their frames: neighbours share an edge, so that no row is lost."""

from __future__ import annotations

SMALLEST = (60, 18)
"""Columns and rows below which there is one sentence above the status line instead."""


def _frames(screen: str, kind: str, colour: str, focus: str, title: str) -> str:
    return f"""
    {screen} {{
        CurvePane, Table, TextPane {{
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
        StatusLine, KeyLine { height: 1; }
        TooSmall, Prompt { display: none; }
        .-aside { display: none; }
        Prompt.-asking { display: block; }
        #bottom { height: 2; }
        &.-small { #panes, SentenceLine, FaultLine { display: none !important; } }
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
        """
    ElboApp.-ascii View #frame { border: ascii $primary; }
    CommandPalette SearchIcon { display: none; }
    ElboApp.-ascii CommandPalette {
        #--input, #--input.--list-visible, CommandList { border: ascii $primary; }
        CommandList { scrollbar-size-vertical: 0; }
    }
    """,
    )
)
