"""Text of the user's world, made safe to print.

Names, prints and errors are data. No control character and no escape sequence of theirs may reach
the terminal: each goes through `safe` first.
"""

from __future__ import annotations

import re

TAB = 4

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor movements
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)"  # OSC and other strings, up to their end
    r"|\x9b[0-?]*[ -/]*[@-~]?"  # CSI as one character
    r"|\x1b[ -/]*[0-~]?",  # all other escapes
    re.DOTALL,
)
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible; writing direction
    "\ud800-\udfff]"
)
_UNSAFE_BUT_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def safe(text: str, lines: bool = False) -> str:
    """The text without a character that a terminal would act on.

    Args:
        text: anything.
        lines: keep newlines, widen tabs and drop escape sequences, as for output and tracebacks.
            Otherwise the result is one line in which every such character is spelled out (`\\n`).
    """
    if lines:
        text = _SEQUENCE.sub("", text.replace("\r\n", "\n")).expandtabs(TAB)
    return (_UNSAFE_BUT_LINES if lines else _UNSAFE).sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
