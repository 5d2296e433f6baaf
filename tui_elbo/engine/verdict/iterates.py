"""The iterates of a run, kept as sums over blocks of steps and the last iterate of each block.

When there are too many blocks, neighbours are joined: so there are always between half of them and
all of them, each of the same length, over the whole run. The way that the parameters took at its
beginning is kept closer, since a run moves fastest there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from tui_elbo.engine.lens.subject import State
from tui_elbo.engine.record.options import Budget
from tui_elbo.engine.rewind.packing import packed_tensor, unpacked_tensor
from tui_elbo.model.scenarios import CHECKPOINT_MEMORY
from tui_elbo.runfile.database import PackedTensor

PART = 4
"""Iterates take this part of what checkpoints may take."""

MEMORY = CHECKPOINT_MEMORY // PART
"""Bytes, by default and at least."""


def memory_of(checkpoint_memory: int) -> int:
    """Bytes for iterates, where checkpoints may take so many."""
    return max(checkpoint_memory // PART, MEMORY)


MOST, LEAST = 128, 16
"""How many blocks are kept, and below how many none is."""

CLOSE = 16
"""The states at the beginning of a run lie closer to each other than so many-th parts of the way
from there, as far as there is room."""

EACH = 4
"""So many iterates of a block are summed, evenly spaced; all where it has no more."""

SHARE = 0.008
"""Of the time of a step, what keeping its iterate may take."""

HICCUP = 3.0
"""What takes longer than so many times the shortest was held up by something else."""


@dataclass(eq=False)
class _Block:
    first: int
    """The steps that it stands for."""
    last: int
    count: int
    """How many iterates are in the sum."""
    total: list[Tensor]
    end: list[Tensor]
    """The iterate after `last`."""


class PackedBlock(msgspec.Struct, frozen=True):
    """A block, as plain data."""

    first: int
    last: int
    count: int
    total: list[PackedTensor]
    end: list[PackedTensor]


class PackedIterates(msgspec.Struct, frozen=True):
    """All that is kept, as plain data: another process goes on with it."""

    begin: int
    length: int
    stride: int
    most: int
    why_none: str
    names: list[str]
    blocks: list[PackedBlock]
    open: PackedBlock | None


class Iterates:
    """The unconstrained parameters after each step, as far as they are kept.

    Args:
        memory: bytes.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self.begin = 0
        """The step after which they count: 0, or that of a change of settings or of the store."""
        self.why_none = ""
        """Why none is kept, in words; empty while they are."""
        self._restart(0)

    def _restart(self, step: int) -> None:
        self.begin = step
        self._blocks: list[_Block] = []
        self._open: _Block | None = None
        self._early: list[tuple[int, list[Tensor]]] = []
        self._length, self._stride = 2, 1
        self._shortest = math.inf
        self._names: list[str] = []
        self._leaves: list[Tensor] = []
        self._stored: object = None
        self._budget = Budget(SHARE)
        self._most = MOST

    def changed(self, step: int) -> None:
        """The settings have changed after a step: the window begins anew."""
        self._restart(step)

    def forget_after(self, step: int) -> None:
        """The run stands at an earlier step."""
        self._open = None
        while self._blocks and self._blocks[-1].last > step:
            self._blocks.pop()
        self._early = [one for one in self._early if one[0] <= step]
        if step < self.begin:
            self._restart(step)

    def took(self, step: int, stored: Sequence[tuple[str, Tensor]], seconds: float) -> None:
        """A step has been taken.

        Args:
            step: its number.
            stored: the unconstrained parameters by name; the same object while they are the same.
            seconds: how long the step took.
        """
        young = step - self.begin <= MOST
        if step % self._stride or not (young or self._budget.at(step)):
            self._budget.took(0.0, seconds)
            return
        if stored is not self._stored:
            self._meet(step, stored)
        if self.why_none or not self._leaves:
            return
        began = time.perf_counter()
        with torch.no_grad():
            self._add(step)
        cost = time.perf_counter() - began
        self._shortest = min(cost, self._shortest)
        # Of the first ones none is left out, whatever else the machine does.
        self._budget.took(0.0 if young else min(cost, HICCUP * self._shortest), seconds)

    def _meet(self, step: int, stored: Sequence[tuple[str, Tensor]]) -> None:
        """The store has other tensors than before."""
        kept = [(n, leaf) for n, leaf in stored if leaf.requires_grad and not leaf.is_complex()]
        names, leaves = [name for name, _ in kept], [leaf for _, leaf in kept]
        shapes = [leaf.shape for leaf in leaves]
        if names != self._names or shapes != [leaf.shape for leaf in self._leaves]:
            if self._names:
                self._restart(step - 1)
            size = 2 * sum(leaf.nbytes for leaf in leaves)
            self._most = min(MOST, self._memory // (size + 1)) // 2 * 2
            self.why_none = ""
            if self._most < LEAST:
                need = math.ceil(PART * LEAST * (size + 1) / 2**20)
                self.why_none = (
                    f"its parameters are too large to keep {LEAST} states of the run within a "
                    f"quarter of --checkpoint-memory: {need}M would do"
                )
        self._names, self._leaves, self._stored = names, leaves, stored

    def _add(self, step: int) -> None:
        block = self._open
        if block is None:
            first = self._blocks[-1].last + 1 if self._blocks else self.begin + 1
            values = [leaf.detach().clone() for leaf in self._leaves]
            block = self._open = _Block(first, step, 1, values, values)
        else:
            torch._foreach_add_(block.total, self._leaves)
            block.count, block.last = block.count + 1, step
        if step - block.first + 1 < self._length:
            return
        if block.count > 1:
            block.end = [leaf.detach().clone() for leaf in self._leaves]
        self._blocks.append(block)
        self._open = None
        if len(self._blocks) >= self._most:
            pairs = zip(self._blocks[::2], self._blocks[1::2], strict=True)
            self._length *= 2
            self._keep_early([(one.last, one.end) for one in self._blocks[::2]])
            self._blocks = [_joined(one, other) for one, other in pairs]
            self._stride = max(1, self._length // EACH)

    def _keep_early(self, ends: list[tuple[int, list[Tensor]]]) -> None:
        """Keep those of the states that would be dropped which lie at the beginning."""
        edge = self.begin + CLOSE * self._length
        early = [one for one in ends if one[0] < edge]
        room = self._memory // (sum(leaf.nbytes for leaf in self._leaves) + 1) - 2 * self._most
        if len(self._early) + len(early) <= room:
            self._early += early

    def packed(self) -> PackedIterates:
        """All that is kept, as plain data."""
        blocks = [_packed(block) for block in self._blocks]
        last = None if self._open is None else _packed(self._open)
        return PackedIterates(
            begin=self.begin,
            length=self._length,
            stride=self._stride,
            most=self._most,
            why_none=self.why_none,
            names=self._names,
            blocks=blocks,
            open=last,
        )

    def go_on_with(self, kept: PackedIterates) -> None:
        """Take up what another process has kept of the same run."""
        self._restart(kept.begin)
        self._length, self._stride, self._names = kept.length, kept.stride, kept.names
        self._most, self.why_none = kept.most, kept.why_none
        self._blocks = [_unpacked(block) for block in kept.blocks]
        self._open = None if kept.open is None else _unpacked(kept.open)
        newest = self._open or (self._blocks[-1] if self._blocks else None)
        self._leaves = [] if newest is None else newest.end

    @property
    def size(self) -> int:
        """Bytes, about."""
        each = sum(leaf.nbytes for leaf in self._leaves)
        return each * (2 * len(self._blocks) + len(self._early))

    def mean(self, after: int, until: int) -> State:
        """The mean of the iterates of the steps in (after, until]; empty where none is kept."""
        inside = self._inside(after, until)
        if not inside:
            return State()
        count = sum(block.count for block in inside)
        columns = zip(*(block.total for block in inside), strict=True)
        means = [torch.stack([t.double() for t in column]).sum(0) / count for column in columns]
        return {
            name: mean.to(leaf.dtype)
            for name, mean, leaf in zip(self._names, means, self._leaves, strict=True)
        }

    def averaged(self, after: int, until: int) -> tuple[int, int]:
        """The first and the last of the steps that `mean` takes."""
        inside = self._inside(after, until)
        return (inside[0].first, inside[-1].last) if inside else (0, 0)

    def _inside(self, after: int, until: int) -> list[_Block]:
        inside = [b for b in self._blocks if after < (b.first + b.last) / 2 and b.last <= until]
        if self._open is not None and after < self._open.first and self._open.last <= until:
            inside.append(self._open)
        return inside

    def between(self, after: int, until: int, most: int) -> list[tuple[int, State]]:
        """Up to so many of the iterates of the steps in (after, until], evenly spaced."""
        inside = [block for block in self._blocks if after < block.last <= until]
        if len(inside) > most:
            places = torch.linspace(0, len(inside) - 1, most).round().int().tolist()
            inside = [inside[place] for place in places]
        return [(b.last, dict(zip(self._names, b.end, strict=True))) for b in inside]

    def states(self, after: int, until: int) -> list[tuple[int, State]]:
        """All that are kept of the iterates of the steps in (after, until], in order."""
        kept = [*self._early, *((block.last, block.end) for block in self._blocks)]
        inside = sorted((one for one in kept if after < one[0] <= until), key=lambda one: one[0])
        return [(step, dict(zip(self._names, end, strict=True))) for step, end in inside]


def _joined(one: _Block, other: _Block) -> _Block:
    total = torch._foreach_add(one.total, other.total)
    return _Block(one.first, other.last, one.count + other.count, list(total), other.end)


def _packed(block: _Block) -> PackedBlock:
    total, end = map(packed_tensor, block.total), map(packed_tensor, block.end)
    return PackedBlock(block.first, block.last, block.count, list(total), list(end))


def _unpacked(block: PackedBlock) -> _Block:
    total, end = map(unpacked_tensor, block.total), map(unpacked_tensor, block.end)
    return _Block(block.first, block.last, block.count, list(total), list(end))
