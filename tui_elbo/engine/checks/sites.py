"""Rules on the sites of model and guide: SVI001 to SVI019."""

from __future__ import annotations

from collections.abc import Iterator

from tui_elbo.engine.checks.look import Look
from tui_elbo.engine.checks.rule import Found, Rule
from tui_elbo.model.findings import Subject


def _missing_in_guide(look: Look) -> Iterator[Found]:
    for site in look.latents.values():
        if site.name not in look.guide_sites and not look.summed_out(site):
            message = f'latent "{site.name}" of the model is not in the guide'
            yield Found(Subject("site", site.name), message, line=site.line)


RULES: tuple[Rule, ...] = (
    Rule(
        code="SVI001",
        name="missing-in-guide",
        level="warning",
        message="a latent of the model is not in the guide",
        why="The site is drawn from its prior at each step, so it is not fitted and its draws are "
        "noise in every gradient.",
        remedy="add a pyro.sample of the same name to the guide",
        reference="https://pyro.ai/examples/svi_part_i.html",
        fires="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(a + b, 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("a", dist.Normal(loc, 1.0))
""",
        silent="""
def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(a + b, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        check=_missing_in_guide,
    ),
)
