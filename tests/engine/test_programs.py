"""Example programs and tutorials of Pyro, as they are, under `elbo-tui watch`.

They are not part of this repository. `ELBO_TUI_PROGRAMS` names a folder with Pyro's own `examples`
and `nb`, the code of its tutorials as scripts. A folder `lib` in it comes first on the path of the
programs: it may hold packages that they need, and a module `stand_ins`, which is imported first and
may stand for what draws or downloads. The folder `home` is their home, with `.data` for data sets.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine import programs
from tests.engine.programs import Program

FOLDER = os.environ.get("ELBO_TUI_PROGRAMS", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="ELBO_TUI_PROGRAMS names no folder of programs"),
]

PROGRAMS = [
    Program("examples/eight_schools/svi.py", "--num-epochs 300"),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.name)
def test_it_is_bit_for_bit_the_same(
    program: Program, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    folder = Path(FOLDER).resolve()
    if not (folder / program.path).exists():
        pytest.skip(f"there is no {program.path}")
    plain = programs.plain(folder, tmp_path / "plain", program)
    assert plain["code"] == 0, (tmp_path / "plain" / "output").read_text()[-2000:]
    headless = programs.headless(folder, tmp_path / "headless", program)
    looked_at, shown = programs.looked_at(folder, tmp_path / "looked", program)
    for one in shown:
        record_property("program", one.row(program.name))
    assert headless == plain
    assert looked_at == plain
