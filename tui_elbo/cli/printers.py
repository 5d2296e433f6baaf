"""What `elbo-tui run` prints: records as JSON lines, or progress, a summary and the curves."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

import msgspec

from tui_elbo.cli.curves import curves
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch, ModuleRecord, ParamRecord, StepRecord, record_of
from tui_elbo.model.text import safe
from tui_elbo.protocol import encodable

if TYPE_CHECKING:
    from tui_elbo.engine.session import Session

LIVE_SECONDS = 0.2
"""How often the progress line on a terminal is written anew."""

ROLES = {"model": "θ", "guide": "φ", "both": "θφ", "none": "–"}


class Printer(Protocol):
    """Takes the steps of a run as they are made."""

    def take(self, batches: list[Batch], last: bool) -> None:
        """Take the next steps; `last` says that no more will come."""

    def close(self) -> None:
        """Print what is left."""


class Lines:
    """Prints records as JSON, one a line.

    Args:
        out: where to.
        every: each so many-th step is printed, and the last.
        steps: the last step that the run is to take.
    """

    def __init__(self, out: TextIO, every: int, steps: int) -> None:
        self._out, self._every, self._steps = out, every, steps
        self._encoder = msgspec.json.Encoder()
        self._newest: Batch | None = None

    def take(self, batches: list[Batch], last: bool) -> None:
        """Print those of the steps that are to be printed."""
        for batch in batches:
            for column in range(batch.steps):
                step = batch.first + column
                if step % self._every == 0 or step == self._steps:
                    self._print(record_of(batch.layout, step, batch.values[:, column]))
            self._newest = batch
        if last and self._newest is not None:
            batch, self._newest = self._newest, None
            step = batch.first + batch.steps - 1
            if step % self._every and step != self._steps:
                self._print(record_of(batch.layout, step, batch.values[:, -1]))
        self._out.flush()

    def close(self) -> None:
        """Nothing is left."""

    def _print(self, record: StepRecord) -> None:
        try:
            line = self._encoder.encode(record)
        except UnicodeEncodeError:
            line = self._encoder.encode(encodable(record))
        self._out.write(line.decode() + "\n")


class Summary:
    """Tells the progress on stderr; at the end prints a summary and the curves.

    Args:
        out: where the summary goes.
        session: what is run.
        steps: the last step that the run is to take.
    """

    def __init__(self, out: TextIO, session: Session, steps: int) -> None:
        self._out, self._session, self._steps = out, session, steps
        self._history = History()
        self._begin = time.monotonic()
        self._told_at, self._told_share = 0.0, 0.0
        self._live = sys.stderr.isatty()

    def take(self, batches: list[Batch], last: bool) -> None:
        """Keep the steps, and tell how far the run has come."""
        for batch in batches:
            self._history.append(batch)
        now, step = time.monotonic(), self._history.last
        text = f"step {step} of {self._steps} · {step / (now - self._begin):.0f}/s"
        if self._live and now - self._told_at > LIVE_SECONDS:
            self._told_at = now
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif not self._live and (last or step / self._steps >= self._told_share + 0.1):
            self._told_share = step / self._steps
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Print the summary and the curves."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        seconds = time.monotonic() - self._begin
        self._out.write("\n".join(self._lines(seconds)) + "\n")
        if self._history.last:
            reference = self._session.scenario.reference
            self._out.write("\n" + curves(self._history, reference) + "\n")
        self._out.flush()

    def _lines(self, seconds: float) -> list[str]:
        from tui_elbo.engine.describe import estimator, optimizer  # noqa: PLC0415

        scenario, record = self._session.scenario, self._history.record(self._history.last)
        lines = [
            f"{safe(scenario.source.name)}: {safe(scenario.title)}".rstrip(": "),
            f"{estimator(scenario.loss)} · {optimizer(scenario.optimizer)} · "
            f"seed {self._session.seed}",
            f"{self._history.last} steps in {seconds:.1f} s",
        ]
        if record is None:
            return lines
        terms = {"loss": record.loss, "elbo": record.elbo, "log p": record.log_p}
        terms["log q"] = record.log_q
        told = (f"{name} {_number(value)}" for name, value in terms.items())
        lines += [f"the last step: {' · '.join(told)} (nats)", ""]
        rows = [(ROLES[one.role], safe(name), _value(one)) for name, one in record.params.items()]
        for name, module in record.modules.items():
            what = f"{_sums(module)} of {module.params} parameters"
            rows.append((ROLES[module.role], safe(name) or "all others", what))
        width = max((len(name) for _, name, _ in rows), default=0)
        lines += [f"{role:2} {name:{width}}  {what}" for role, name, what in rows]
        return lines


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:#.6g}"


def _value(param: ParamRecord) -> str:
    if isinstance(param.value, float):
        return _number(param.value)
    if param.value is not None:
        return _nested(param.value)
    if param.mean is None:
        return f"shape {tuple(param.shape)}"
    return f"{_sums(param)}, shape {tuple(param.shape)}"


def _sums(one: ParamRecord | ModuleRecord) -> str:
    low, high = _number(one.min), _number(one.max)
    return f"mean {_number(one.mean)} sd {_number(one.sd)} in [{low}, {high}]"


def _nested(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_nested(item) for item in value) + "]"
    return _number(value if isinstance(value, float) else None)
