"""What `run` and `explain` print: records, the summary, curves, the attribution, lens records."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping, Sized
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import msgspec
import numpy as np

from tui_elbo.cli.options import whole
from tui_elbo.model.attribution import (
    PLAYERS,
    SUM_TERMS,
    TOO_FAR_APART,
    LensPoint,
    ObservedTerms,
    Player,
    Term,
    TermAttribution,
    attribute_change,
    observed_terms,
)
from tui_elbo.model.bound import bound_lines, evidence_gap_lines
from tui_elbo.model.errors import UsageError
from tui_elbo.model.estimate import one_digit
from tui_elbo.model.history import History
from tui_elbo.model.records import (
    Batch,
    Column,
    Floats,
    ModuleRecord,
    ParamRecord,
    StepRecord,
    record_of,
)
from tui_elbo.model.sentences import choose_sentence, summarize_span
from tui_elbo.model.text import safe
from tui_elbo.protocol import encodable
from tui_elbo.ui.plot.curve import Curve
from tui_elbo.ui.plot.plotting import sketch

if TYPE_CHECKING:
    from tui_elbo.engine.lens.attribution import Attribution
    from tui_elbo.engine.lens.gradients import TermGradient
    from tui_elbo.engine.session import Session

TITLES = {"log_p": "log p(x, z)", "log_q": "log q(z)", "elbo": "ELBO"}
WIDTH, HEIGHT = 76, 9


def curve_text(history: History, reference: dict[str, Any]) -> str:
    """log p, log q and the ELBO over the steps, in nats; `-loss` where there is no ELBO.

    Args:
        history: at least one step.
        reference: the scenario's; its log evidence is drawn beside the ELBO.
    """

    def values(field: str) -> Floats:
        return history.values(Column("step", "", field))

    shown = {title: values(field) for field, title in TITLES.items()}
    if np.isnan(shown[TITLES["elbo"]]).all():
        shown = {"-loss": -values("loss")}
    drawn = []
    for title, curve in shown.items():
        evidence = reference.get("log_evidence") if title == TITLES["elbo"] else None
        lines: tuple[tuple[str, float], ...] = ()
        tail = ""
        if isinstance(evidence, int | float):
            lines, tail = (("", float(evidence)),), f", and log p(x) = {evidence:#.6g}"
        if np.isfinite(curve).any():
            drawing = sketch(Curve(curve, 1, history.last, lines), WIDTH, HEIGHT)
            drawn.append(f"{title}{tail} (nats)\n{drawing.text}")
    return "\n\n".join(drawn)


ROLES = {"model": "θ", "guide": "φ", "both": "θφ", "none": "–", "unknown": "?"}


class Printer(Protocol):
    """Takes the steps of a run as they are made."""

    def take(self, batches: list[Batch], last: bool) -> None:
        """Take the next steps; `last` says that no more will come."""

    def close(self) -> None:
        """Print what is left."""


class JsonLines:
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


class SummaryPrinter:
    """Reports progress where stderr is no terminal; at the end prints a summary and the curves.

    Args:
        out: where the summary goes.
        session: what is run.
        steps: the last step that the run is to take.
    """

    def __init__(self, out: TextIO, session: Session, steps: int) -> None:
        self._out, self._session, self._steps = out, session, steps
        self._history = History()
        self._begin = time.monotonic()
        self._reported_share = 0.0
        self._live = sys.stderr.isatty()

    def take(self, batches: list[Batch], last: bool) -> None:
        """Keep the steps, and report how far the run has come."""
        for batch in batches:
            self._history.append(batch)
        now, step = time.monotonic(), self._history.last
        if not self._live and (last or step / self._steps >= self._reported_share + 0.1):
            self._reported_share = step / self._steps
            rate = step / (now - self._begin)
            print(f"step {step} of {self._steps} · {rate:.0f}/s", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Print the summary and the curves."""
        seconds = time.monotonic() - self._begin
        self._out.write("\n".join(self._lines(seconds)) + "\n")
        if self._history.last:
            reference = self._session.scenario.reference
            self._out.write("\n" + curve_text(self._history, reference) + "\n")
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
        numbers = (f"{name} {_number(value)}" for name, value in terms.items())
        lines += [f"the last step: {' · '.join(numbers)} (nats)", ""]
        lines += param_rows(record.params, record.modules)
        return lines


def param_rows(
    params: Mapping[str, ParamRecord], modules: Mapping[str, ModuleRecord] | None = None
) -> list[str]:
    """The role, the name and the value of each parameter, in constrained space, as a table."""
    rows = [(ROLES[one.role], safe(name), _value(one)) for name, one in params.items()]
    for name, module in (modules or {}).items():
        what = f"{_sums(module)} of {module.params} parameters"
        rows.append((ROLES[module.role], safe(name) or "all others", what))
    width = max((len(name) for _, name, _ in rows), default=0)
    return [f"{role:2} {name:{width}}  {what}" for role, name, what in rows]


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


SIGNS: dict[Player, str] = {"phi": "φ", "theta": "θ", "both": "both"}

NAMES = dict(zip(SUM_TERMS, ("log p", "log q", "ELBO", "  likelihood", "  prior"), strict=True))

ORDER = (SUM_TERMS[0], SUM_TERMS[3], SUM_TERMS[4], SUM_TERMS[1], SUM_TERMS[2])
"""log p with its parts, log q, the ELBO."""

MOST = 20
"""So many sites and parameters are listed, the largest changes first."""


EXPLAINED = "(observed = φ + θ + draw, of single draws; expected: the mean over draws, at the end)"


def attribution_table(
    start: LensPoint, end: LensPoint, seen: dict[int, ObservedTerms]
) -> list[str]:
    """What moved each term between two records, as a table."""
    shares = attribute_change(start, end, seen.get(start.state), seen.get(end.state))
    head = f"what moved it, from record {start.state + 1} to {end.state + 1} (nats)"
    players = [player for player in PLAYERS if player != "both" or player in end.players]
    signs = [SIGNS[player] for player in players]
    rows = [["", *signs, "draw", "observed", "expected"]]
    for term in ORDER:
        row, share = end.terms.index(term), shares[term]
        if math.isnan(end.value[row]) and not share.shares:
            continue
        value = f"{_plain(end.value[row])} ± {one_digit(end.error[row])}"
        moved = [_moved(share, player, end) for player in players]
        rows.append([NAMES[term], *moved, _signed(share.draw), _signed(share.observed), value])
    lines = [head, *_table(rows), EXPLAINED]
    lines += [f"(?: {TOO_FAR_APART})"] * any(not share.split for share in shares.values())
    return [*lines, f"({end.note})"] if end.note else lines


def span_sentence(
    start: LensPoint, end: LensPoint, seen: dict[int, ObservedTerms], attribution: Attribution
) -> str:
    """What moved the terms, in a sentence."""
    shares = attribute_change(start, end, seen.get(start.state), seen.get(end.state))
    latents, points = attribution.latents
    return choose_sentence(
        summarize_span(start, end, shares, latents=len(latents), delta_latents=len(points))
    ).text


def site_table(start: LensPoint, end: LensPoint) -> list[str]:
    """What the parameters changed of each site, the largest first."""
    found = []
    for term, share in attribute_change(start, end).items():
        if term.site:
            found.append((abs(share.together), term, share))
    if not found:
        return []
    found.sort(key=lambda one: (-one[0], one[1]))
    rows = [["by site", *(SIGNS[player] for player in end.players)]]
    for _, term, share in found[:MOST]:
        name = f"{NAMES[Term('', term.field)]} {safe(term.site)}"
        rows.append([name, *(_moved(share, player, end) for player in end.players)])
    return [*_table(rows), *_more(found)]


def parameter_table(attribution: Attribution) -> list[str]:
    """Each parameter's change since step 0, and its gradients now."""
    (_, changes), pulls = attribution.changes(), attribution.gradients()
    if not changes:
        return ["There is no parameter."]
    rows = [["by parameter (unconstrained)", "change", "pull of log p", "of log q", "of the ELBO"]]
    why = ""
    order = sorted(changes, key=lambda name: -changes[name])
    for name in order[:MOST]:
        role = ROLES[attribution.roles.get(name, "none")]
        own = pulls.get(name)
        gradients = (own.log_p, own.log_q, own.elbo) if own else (None, None, None)
        row = [f"{role} {safe(name)}", f"{changes[name]:.4g}", *map(_gradient, gradients)]
        why = why or (own.reason if own else "")
        rows.append(row)
    lines = [*_table(rows), *_more(order)]
    return [*lines, f"(–: {why})"] if why else lines


def evidence_gap(session: Session, attribution: Attribution) -> list[str]:
    """The gap between the ELBO and the log evidence, else the importance-weighted bound."""
    players, points = attribution.players, len(attribution.latents[1])
    bound = attribution.importance_bound()
    evidence = session.scenario.reference.get("log_evidence")
    if evidence is not None and (points or math.isfinite(bound.elbo)):
        error = bound.elbo_error
        parts = evidence_gap_lines(float(evidence), bound.elbo, error, players, points)
        return [("; " if points else ", ").join(parts)]
    text, *more = bound_lines(bound)
    return [", ".join([text, *more[:1]]) + "".join(f"; {one}" for one in more[1:])]


def _moved(share: TermAttribution, player: Player, point: LensPoint) -> str:
    if player not in point.players:
        return "·"
    if not share.split:
        return "?"
    error = share.errors.get(player, math.nan)
    text = _signed(share.shares.get(player, math.nan))
    return f"{text} ± {one_digit(error)}" if math.isfinite(error) and error > 5e-4 else text


def _gradient(pull: TermGradient | None) -> str:
    return "–" if pull is None else f"{pull.norm:.3g} (snr {pull.snr:.2g})"


def _signed(value: float) -> str:
    return f"{value:+.3f}" if math.isfinite(value) else "–"


def _plain(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _more(found: Sized) -> list[str]:
    count = len(found) - MOST
    return [f"and {count} more"] if count > 0 else []


def _table(rows: list[list[str]]) -> list[str]:
    """Columns side by side, the first to the left and the others to the right."""
    width = max(len(row) for row in rows)
    padded = [row + [""] * (width - len(row)) for row in rows]
    widths = [max(len(row[i]) for row in padded) for i in range(width)]
    return [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(cells)).rstrip()
        for cells in ([*zip(row, widths, strict=True)] for row in padded)
    ]


MAIN = SUM_TERMS[:3]
"""The terms of a line."""


def add_lens_options(options: argparse.ArgumentParser) -> None:
    """Add the options that `follow` reads."""
    options.add_argument(
        "--lens",
        type=whole(1),
        metavar="K",
        help="look at record 1 and each K-th through fixed draws: what moved log p and log q",
    )
    options.add_argument(
        "--draws", type=whole(2), metavar="M", help="of the lens; default: 256, fewer one by one"
    )


def follow(
    session: Session,
    chosen: argparse.Namespace,
    steps: int,
    out: TextIO,
    report: Callable[[str], object],
) -> LensFollower | None:
    """Follow a session as the options say; None without `--lens`.

    Raises:
        UsageError: if the options do not go together.
    """
    if chosen.lens is None:
        if chosen.draws is not None:
            raise UsageError("--draws says how often the lens draws, and there is no --lens")
        return None
    if chosen.csv:
        raise UsageError("--lens has lines of its own, for which a table has no place")
    from tui_elbo.engine.lens.attribution import Attribution  # noqa: PLC0415 - imports torch

    attribution = Attribution(session, chosen.draws, in_process=chosen.lens_in_process)
    return LensFollower(
        session,
        attribution,
        every=chosen.lens,
        steps=steps,
        out=out,
        json=chosen.json,
        report=report,
    )


class LensFollower:
    """Takes the lens point of record 1 and of each `every`-th record of a run.

    Args:
        session: standing at step 0.
        attribution: of this session.
        every: between the records that are looked at.
        steps: the last step that the run is to take.
        out: takes what is printed.
        json: whether to print a line for each point, once its record is there; else the
            attribution of the whole run is printed at its end.
        report: called with each new remark on how the lens draws.
    """

    def __init__(
        self,
        session: Session,
        attribution: Attribution,
        *,
        every: int,
        steps: int,
        out: TextIO,
        json: bool,
        report: Callable[[str], object] = id,
    ) -> None:
        self.breakpoints: list[LensPoint] = []
        self.seen: dict[int, ObservedTerms] = {}
        """The terms of the record drawn from a point's state, by state."""
        self._session = session
        self.attribution = attribution
        """What the points are of."""
        self._every, self._steps = every, steps
        self._out, self._json, self._report, self._reported_note = out, json, report, ""

    def most(self) -> int:
        """How many steps the run may take before the lens is due."""
        now = self._session.steps_taken
        if now == 0 or (now + 1) % self._every == 0 or self._every == 1:
            return 1
        return self._every - 1 - now % self._every

    def take(self, batches: list[Batch]) -> None:
        """Take the next steps, and evaluate the lens where it is due."""
        self.attribution.learn(batches)
        now = self._session.steps_taken
        if not self.breakpoints and now:
            self._add(self.attribution.begin())
        for batch in batches:
            state = batch.first - 1
            if state == self.breakpoints[-1].state:
                record = record_of(batch.layout, batch.first, batch.values[:, 0])
                self.seen[state] = observed_terms(record)
                self._print()
        if now and (now + 1) % self._every == 0 and now < self._steps:
            self._add(self.attribution.point())

    def close(self) -> None:
        """Print what is left, and detach from the session."""
        self.attribution.close()
        known = self.known
        if not self._json and known:
            lines = ["", *attribution_table(known[0], known[-1], self.seen), ""]
            lines += [span_sentence(known[0], known[-1], self.seen, self.attribution)]
            self._out.write("\n".join(lines) + "\n")

    @property
    def known(self) -> list[LensPoint]:
        """The points whose records are there."""
        return [point for point in self.breakpoints if point.state in self.seen]

    def _add(self, point: LensPoint) -> None:
        self.breakpoints.append(point)
        if point.note != self._reported_note:
            self._reported_note = point.note
            self._report(f"the lens, at step {point.state}: {point.note}")

    def _print(self) -> None:
        if self._json:
            record = {"lens": lens_record(self.breakpoints, self.seen)}
            record |= {"mcse": lens_errors(self.breakpoints, self.seen)}
            self._out.write(f"{msgspec.json.encode(record).decode()}\n")
            self._out.flush()


def lens_record(points: list[LensPoint], seen: dict[int, ObservedTerms]) -> dict[str, Any]:
    """The JSON record of the last of these points.

    Args:
        points: those of the run so far, in order.
        seen: the records drawn from their states.
    """
    point = points[-1]
    interval, total = _attributions(points, seen)
    record: dict[str, Any] = {"step": point.state + 1, "draws": point.draws}
    if point.nonfinite_draws:
        record["bad_draws"] = point.nonfinite_draws
    if point.note:
        record["note"] = point.note
    for row, term in enumerate(point.terms):
        if term not in MAIN:
            continue
        record[term.field] = {
            "value": _finite_or_none(point.value[row]),
            "mcse": _finite_or_none(point.error[row]),
            "interval": _share(interval[term]),
            "total": _share(total[term]),
        }
    return record


def lens_errors(points: list[LensPoint], seen: dict[int, ObservedTerms]) -> dict[str, Any]:
    """The Monte Carlo standard errors of the shares in `lens_record`, of paired differences."""
    interval, total = _attributions(points, seen)
    return {
        term.field: {"interval": _errors(interval[term]), "total": _errors(total[term])}
        for term in MAIN
    }


def _attributions(
    points: list[LensPoint], seen: dict[int, ObservedTerms]
) -> tuple[dict[Term, TermAttribution], dict[Term, TermAttribution]]:
    """The attribution since the point before, and since the first."""
    point = points[-1]
    after = seen.get(point.state)
    starts = next(p for p in points if p.state == point.since), points[0]
    interval, total = (attribute_change(p, point, seen.get(p.state), after) for p in starts)
    return interval, total


def _share(share: TermAttribution) -> dict[str, float | None]:
    names = [name for name in PLAYERS if name != "both" or name in share.shares]
    shares = {str(name): share.shares.get(name, 0.0) for name in names}
    shares |= {"draw": share.draw, "observed": share.observed}
    return {name: _finite_or_none(value) for name, value in shares.items()}


def _errors(share: TermAttribution) -> dict[str, float | None]:
    names = [name for name in PLAYERS if name != "both" or name in share.shares]
    return {name: _finite_or_none(share.errors.get(name, 0.0)) for name in names}


def _finite_or_none(value: float) -> float | None:
    """JSON has no word for what is not finite."""
    return float(value) if math.isfinite(value) else None
