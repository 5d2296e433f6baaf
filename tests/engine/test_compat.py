"""Private APIs of Pyro and torch: all there, all in one file a library, missed by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pyro
import pytest
import torch
from torch import Tensor

import tui_elbo.engine
from tui_elbo.engine.compat import Private, checked
from tui_elbo.engine.compat import pyro as pyro_compat
from tui_elbo.engine.compat import torch as torch_compat

LIBRARIES = {
    "pyro-ppl": (pyro.__version__, pyro_compat),
    "torch": (torch.__version__, torch_compat),
}
APIS = [(library, api) for library, (_, module) in LIBRARIES.items() for api in module.PRIVATE]


@pytest.mark.parametrize(("library", "api"), APIS, ids=[api.name for _, api in APIS])
def test_the_installed_version_has_it(library: str, api: Private) -> None:
    version, module = LIBRARIES[library]
    checked(api, library, version, module.VERSIONS)


@pytest.mark.parametrize("look", [lambda: torch._no_such_thing, lambda: False])
def test_one_that_is_missing_is_named_with_the_version(look: object) -> None:
    api = Private("torch._no_such_thing", "for a test", look)
    with pytest.raises(RuntimeError, match=r"torch 9\.9 lacks torch\._no_such_thing .*2\.3\.0"):
        checked(api, "torch", "9.9", torch_compat.VERSIONS)


PRIVATE_NAMES = re.compile(
    r"(?<!self)(?<!cls)\._(?!_)(?!exit\b|getframe\b)[a-zA-Z]\w*|\bimport _\w+|\[\"_[a-z]\w*\"\]"
    r"|\.get\(\"_[a-z]\w*\"\)|, \"_get_trace\""
)
"""A private attribute of something else, or a private key of a site of a trace."""

STAND_IN = "script/script_stepper.py"
"""It puts the trace builder in place for one step, and stands in for an estimator without one."""

OF_A_LIBRARY = {one for _, api in APIS for one in re.findall(r"_[a-zA-Z]\w*", api.name)}


def test_no_other_file_uses_a_private_name_of_a_library() -> None:
    root = Path(tui_elbo.engine.__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        if path.parent.name == "compat" or path == root / STAND_IN:
            continue
        code = re.sub(r'"""[\s\S]*?"""|#.*', "", path.read_text(encoding="utf-8"))
        names = (n for n in PRIVATE_NAMES.findall(code) if any(one in n for one in OF_A_LIBRARY))
        found += [f"{path.relative_to(root)}: {name}" for name in names]
    assert not found


@pytest.mark.parametrize("sampler", [torch._standard_gamma, torch._sample_dirichlet])
def test_draws_of_seeded_rows_are_those_of_a_call_for_each(sampler: Callable[..., Tensor]) -> None:
    gamma = sampler is torch._standard_gamma
    some = (0.1 + torch.arange(12.0).reshape(4, 3)).requires_grad_(gamma)
    generator, rows = torch.Generator(), []
    for row in range(4):
        generator.manual_seed(70 + row)
        rows.append(sampler(some[row], generator=generator))
    drawn, each = torch_compat.draw_one_by_one(sampler, [some], generator, 70), torch.stack(rows)
    assert torch.equal(drawn, each)
    assert drawn.requires_grad == gamma
    if gamma:
        weights = torch.arange(12.0).reshape(4, 3)
        grads = [torch.autograd.grad((one * weights).sum(), some)[0] for one in (drawn, each)]
        assert torch.equal(*grads)
