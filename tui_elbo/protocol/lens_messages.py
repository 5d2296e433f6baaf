"""What the lens sees as messages, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import numpy as np

from tui_elbo.model.attribution import IN_BLOCKS, Point
from tui_elbo.model.errors import ProtocolError
from tui_elbo.model.lens_history import Sighting
from tui_elbo.model.lens_values import Player, Term
from tui_elbo.model.records import Floats
from tui_elbo.protocol.events import Looked, Pulled

_FLOATS = np.dtype("<f8")


def looked(seen: Sighting) -> Looked:
    """The event that carries a sighting."""
    point = seen.point
    moments = [part for pair in seen.posterior.values() for part in pair]
    parts = [
        point.value, point.error, point.spread, point.share, point.share_error,
        point.total, point.total_error, *moments, point.blocks,
    ]  # fmt: skip
    return Looked(
        state=point.state,
        since=point.since,
        draws=point.draws,
        bad=point.bad,
        note=point.note,
        terms=tuple((term.site, term.field) for term in point.terms),
        players=tuple(point.players),
        latents=seen.latents,
        points=seen.points,
        posterior=tuple((name, len(mean)) for name, (mean, _) in seen.posterior.items()),
        data=np.concatenate([part.ravel() for part in parts]).astype(_FLOATS).tobytes(),
    )


def sighting(event: Looked) -> Sighting:
    """The sighting that the event carries.

    Raises:
        ProtocolError: if its size is not what it says.
    """
    terms, players = len(event.terms), len(event.players)
    sizes = [terms] * 3 + [players * terms] * 4
    sizes += [size for _, size in event.posterior for _ in range(2)]
    count, odd = divmod(len(event.data), _FLOATS.itemsize)
    rest = count - sum(sizes)
    if odd or rest < 0 or (rest % (players * IN_BLOCKS) if players else rest):
        raise ProtocolError(f"{len(event.data)} bytes of a point where {sum(sizes)} float64 belong")
    numbers = np.frombuffer(event.data, dtype=_FLOATS).astype(np.float64)
    parts = [numbers[a:b] for a, b in pairwise(np.cumsum([0, *sizes, rest]).tolist())]
    table = [part.reshape(players, terms) for part in parts[3:7]]
    point = Point(
        state=event.state,
        since=event.since,
        draws=event.draws,
        bad=event.bad,
        note=event.note,
        terms=tuple(Term(*term) for term in event.terms),
        value=parts[0],
        error=parts[1],
        spread=parts[2],
        players=cast(tuple[Player, ...], event.players),
        share=table[0],
        share_error=table[1],
        total=table[2],
        total_error=table[3],
        blocks=parts[-1].reshape(players, IN_BLOCKS, -1)
        if players
        else np.empty((0, IN_BLOCKS, 0)),
    )
    moments = iter(parts[7:-1])
    posterior = {name: (next(moments), next(moments)) for name, _ in event.posterior}
    return Sighting(point, event.latents, event.points, posterior)


def _blocks(numbers: Floats, players: int) -> Floats:
    shape = (players, IN_BLOCKS, len(numbers) // (max(players, 1) * IN_BLOCKS))
    return numbers.reshape(shape)


def pulled(step: int, since: int, rows: Sequence[tuple[str, str, Sequence[float]]]) -> Pulled:
    """The event that tells of parameters.

    Args:
        step: the present state.
        since: the state that the changes are counted from.
        rows: name, reason and the seven numbers of each parameter.
    """
    table: Floats = np.array([numbers for _, _, numbers in rows], dtype=_FLOATS)
    names, reasons = (tuple(row[i] for row in rows) for i in range(2))
    return Pulled(step, since, names, reasons, table.tobytes())  # type: ignore[arg-type]
