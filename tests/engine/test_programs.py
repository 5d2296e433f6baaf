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
    Program("examples/capture_recapture/cjs.py", "-m 1 -n 30"),
    Program("examples/contrib/autoname/mixture.py", "-n 80"),
    Program("examples/contrib/autoname/scoping_mixture.py", "-n 80"),
    Program("examples/contrib/autoname/tree_data.py", "-n 40"),
    Program("examples/contrib/cevae/synthetic.py", "--num-data 200 -n 20 --hidden-dim 20"),
    Program(
        "examples/contrib/epidemiology/regional.py", "--svi -ss 40 -sp 4 -n 10 -p 100 --nojit -f 0"
    ),
    Program("examples/contrib/epidemiology/sir.py", "--svi -ss 60 -sp 4 -n 10 -p 100 --nojit -f 0"),
    Program("examples/contrib/gp/sv-dkl.py", "--epochs 3 --num-inducing 8", ci=True),
    Program(
        "examples/contrib/mue/FactorMuE.py", "--test --small --include-stop --no-plots --no-save"
    ),
    Program(
        "examples/contrib/mue/ProfileHMM.py", "--test --small --include-stop --no-plots --no-save"
    ),
    Program("examples/dmm.py", "-n 3 --mini-batch-size 8", ci=True),
    Program("examples/eight_schools/svi.py", "--num-epochs 300"),
    Program("examples/hmm.py", "-m 1 -n 30 -b 8 -d 4 -t 10", ci=True),
    Program("examples/hmm.py", "-m 2 -n 30 -b 8 -d 4 -t 10", ci=True),
    Program("examples/lda.py", "-n 100 -w 64 -d 100 -wd 16 -l 16"),
    Program("examples/minipyro.py", "-b pyro"),
    Program("examples/neutra.py", "-n 100 --num-samples 5 --num-warmup 5"),
    Program("examples/svi_horovod.py", "--no-horovod --size 2000 -n 5"),
    Program("examples/svi_torch.py", "--size 2000 --num-epochs 10"),
    Program("examples/toy_mixture_model_discrete_enumeration.py", "-n 300 -o 200"),
    Program("examples/vae/vae.py", "-n 3", ci=True),
    Program("nb/bayesian_regression.py", ci=True),
    Program("nb/boosting_bbvi.py", ci=True),
    Program("nb/csis.py", ci=True),
    Program("nb/easyguide.py", ci=True),
    Program("nb/ekf.py", ci=True),
    Program("nb/epi_intro.py", ci=True),
    Program("nb/intro_part_ii.py", ci=True),
    Program("nb/mle_map.py", ci=True),
    Program("nb/modules.py", ci=True),
    Program("nb/svi_part_i.py"),
    Program("nb/svi_part_iii.py", ci=True),
    Program("nb/tracking_1d.py", ci=True),
    Program("nb/vae.py", ci=True),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.name)
def test_it_is_bit_for_bit_the_same(
    program: Program, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    folder = Path(FOLDER).resolve()
    if not (folder / program.path).exists():
        pytest.skip(f"there is no {program.path}")
    programs.compare(folder, tmp_path, program, record_property)
