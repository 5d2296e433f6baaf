"""What the terminal and the engine say to each other, and how it is framed.

Commands go to the engine, events come from it. Each message is a tagged `msgspec` struct in
MessagePack, behind its length as four little-endian bytes; numbers travel as raw little-endian
float64. A message that does not decode is a `ProtocolError`, never a guess.

The engine says `Hello` first. Every command carries a number that grows; every `Level` repeats the
number of the last command that the engine has carried out, so the terminal knows which of its
wishes are already part of what it is told.
"""

from tui_elbo.protocol.commands import (
    AnyCommand,
    Back,
    Command,
    GoTo,
    Inspect,
    Load,
    Pause,
    Pull,
    Restart,
    Run,
    Step,
    Tune,
    Tuning,
    Watch,
    Weigh,
)
from tui_elbo.protocol.events import (
    VERSION,
    AnyEvent,
    Caution,
    Event,
    Fault,
    Hello,
    Histogram,
    Inspected,
    Level,
    Loaded,
    Looked,
    Met,
    NewLayout,
    Phase,
    Pulled,
    Remark,
    Rewound,
    Rows,
    Summary,
    Tuned,
    Weighed,
)
from tui_elbo.protocol.framing import MAX_FRAME, Decoder, batch, encodable, frame, rows
from tui_elbo.protocol.lens import looked, pulled, sighting

__all__ = [
    "MAX_FRAME",
    "VERSION",
    "AnyCommand",
    "AnyEvent",
    "Back",
    "Caution",
    "Command",
    "Decoder",
    "Event",
    "Fault",
    "GoTo",
    "Hello",
    "Histogram",
    "Inspect",
    "Inspected",
    "Level",
    "Load",
    "Loaded",
    "Looked",
    "Met",
    "NewLayout",
    "Pause",
    "Phase",
    "Pull",
    "Pulled",
    "Remark",
    "Restart",
    "Rewound",
    "Rows",
    "Run",
    "Step",
    "Summary",
    "Tune",
    "Tuned",
    "Tuning",
    "Watch",
    "Weigh",
    "Weighed",
    "batch",
    "encodable",
    "frame",
    "looked",
    "pulled",
    "rows",
    "sighting",
]
