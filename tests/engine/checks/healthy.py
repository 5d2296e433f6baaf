"""Healthy scenarios with what rules could take for a fault: no error and no warning is right."""

from __future__ import annotations

HEALTHY: dict[str, str] = {
    "rows_in_another_order_each_time": """
x, y = torch.linspace(-1.0, 1.0, 12), torch.linspace(0.0, 3.0, 12)


def model():
    rows = torch.randperm(12)
    a = pyro.sample("a", dist.Normal(0.0, 3.0))
    with pyro.plate("rows", 12):
        pyro.sample("y", dist.Normal(a * x[rows], 0.5), obs=y[rows])


guide = AutoNormal(model)
""",
    "positive_by_elu": """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


def guide():
    s = pyro.param("s", torch.tensor(0.1))
    pyro.sample("z", dist.Normal(0.0, torch.nn.functional.elu(s) + 1.001))
""",
    "positive_by_square": """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


def guide():
    s = pyro.param("s", torch.tensor(0.5))
    pyro.sample("z", dist.Normal(0.0, s * s + 1e-3))
""",
    "normal_far_from_the_edge": """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    sd = pyro.sample("sd", dist.Uniform(0.0, 10.0))
    pyro.sample("x", dist.Normal(z, sd), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(pyro.param("z_loc", torch.tensor(0.0)), 1.0))
    pyro.sample("sd", dist.Normal(loc, 0.05))
""",
    "encoder_and_decoder": """
encoder = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))
decoder = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
x = torch.randn(12, 3)


def model():
    pyro.module("decoder", decoder)
    with pyro.plate("n", 12):
        z = pyro.sample("z", dist.Normal(torch.zeros(12, 2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(decoder(z), 1.0).to_event(1), obs=x)


def guide():
    pyro.module("encoder", encoder)
    with pyro.plate("n", 12):
        loc, log_scale = encoder(x).chunk(2, -1)
        pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))
""",
    "assignment_in_place": """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    mean = torch.zeros(3)
    mean[1] = z
    with pyro.plate("n", 3):
        pyro.sample("x", dist.Normal(mean, 1.0), obs=torch.ones(3))


guide = AutoNormal(model)
""",
    "truncated_by_transform": """
def model():
    s = pyro.sample("s", dist.HalfCauchy(1.0))
    p = pyro.sample("p", dist.Uniform(0.0, 2.0))
    with pyro.plate("n", 3):
        pyro.sample("x", dist.Normal(p, s), obs=torch.ones(3))


guide = AutoMultivariateNormal(model)
""",
    "subsample_by_pyro": """
data = torch.linspace(-1.0, 1.0, 50)


def model():
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 50, subsample_size=10) as rows:
        z = pyro.sample("z", dist.Normal(m, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=data[rows])


def guide():
    centre = pyro.param("centre", torch.tensor(0.0))
    loc = pyro.param("loc", torch.zeros(50))
    pyro.sample("m", dist.Normal(centre, 0.1))
    with pyro.plate("n", 50, subsample_size=10) as rows:
        pyro.sample("z", dist.Normal(loc[rows], 1.0))
""",
    "scale_by_poutine": """
data = torch.linspace(-1.0, 1.0, 50)


def model(x):
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    with pyro.plate("n", len(x)), poutine.scale(scale=50 / len(x)):
        pyro.sample("x", dist.Normal(m, 1.0), obs=x)


guide = AutoNormal(model)


def batch(step):
    return (data[(10 * step) % 50 :][:10],)


def full_batch():
    return (data,)
""",
    "local_latents_by_batch": """
data = torch.linspace(-1.0, 1.0, 50)
net = torch.nn.Linear(1, 1)


def model(x):
    s = pyro.param("s", torch.tensor(1.0), constraint=constraints.positive)
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, s))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def guide(x):
    pyro.module("net", net)
    with pyro.plate("n", len(x)):
        pyro.sample("z", dist.Normal(net(x[:, None]).squeeze(-1), 1.0))


def batch(step):
    return (data[(10 * step) % 50 :][:10],)
""",
    "plate_without_a_size": """
def model():
    with pyro.plate("n"):
        z = pyro.sample("z", dist.Normal(torch.zeros(4), 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.ones(4))


def guide():
    loc = pyro.param("loc", torch.zeros(4))
    with pyro.plate("n"):
        pyro.sample("z", dist.Normal(loc, 1.0))
""",
    "restarts_in_a_plate": """
data = torch.linspace(-1.0, 1.0, 8)


def model():
    with pyro.plate("restarts", 3, dim=-2):
        m = pyro.sample("m", dist.Normal(0.0, 1.0))
        with pyro.plate("n", 8, dim=-1):
            pyro.sample("x", dist.Normal(m, 1.0), obs=data)


guide = AutoNormal(model)
""",
    "masked_and_filled": """
data = torch.tensor([0.5, float("nan"), 1.0])
seen = ~torch.isnan(data)


def model():
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 3), poutine.mask(mask=seen):
        pyro.sample("x", dist.Normal(m, 1.0), obs=torch.where(seen, data, torch.zeros(3)))


guide = AutoNormal(model)
""",
    "random_initial_values": """
def model():
    z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    pyro.sample("x", dist.Normal(z.sum(), 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.randn(3))
    scale = pyro.param("scale", lambda: 0.1 + torch.rand(3), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale).to_event(1))


guide()
""",
    "enumerated_mixture": """
@config_enumerate
def model():
    w = pyro.sample("w", dist.Dirichlet(torch.ones(2)))
    with pyro.plate("k", 2):
        loc = pyro.sample("loc", dist.Normal(0.0, 5.0))
    with pyro.plate("n", 6):
        k = pyro.sample("assignment", dist.Categorical(w))
        pyro.sample("x", dist.Normal(loc[k], 1.0), obs=torch.linspace(-3.0, 3.0, 6))


guide = AutoNormal(poutine.block(model, hide=["assignment"]))
loss = TraceEnum_ELBO(max_plate_nesting=1)
""",
    "score_with_baseline": """
def model():
    k = pyro.sample("k", dist.Bernoulli(0.5))
    with pyro.plate("n", 6):
        pyro.sample("x", dist.Normal(k, 1.0), obs=torch.ones(6))


def guide():
    p = pyro.param("p", torch.tensor(0.5), constraint=constraints.unit_interval)
    baseline = {"use_decaying_avg_baseline": True}
    pyro.sample("k", dist.Bernoulli(p), infer={"baseline": baseline})


loss = TraceGraph_ELBO()
""",
    "map_with_a_lognormal_scale": """
def model():
    tau = pyro.sample("tau", dist.LogNormal(0.0, 0.5))
    with pyro.plate("g", 3):
        z = pyro.sample("z", dist.Normal(0.0, tau))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.linspace(-1.0, 1.0, 3))


guide = AutoDelta(model)
""",
    "cosine_to_zero": """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
steps = 400
optimizer = pyro.optim.CosineAnnealingLR(
    {"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05}, "T_max": 400}
)
""",
    "flow_guide": """
def model():
    z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.sample("x", dist.Normal(z.prod(), 1.0), obs=torch.tensor(1.0))


guide = AutoIAFNormal(model)
""",
    "bayesian_network": """
from pyro.nn import PyroModule, PyroSample

x = torch.randn(10, 2)


class Net(PyroModule):
    def __init__(self):
        super().__init__()
        self.linear = PyroModule[torch.nn.Linear](2, 1)
        self.linear.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, 2]).to_event(2))
        self.linear.bias = PyroSample(dist.Normal(0.0, 1.0).expand([1]).to_event(1))

    def forward(self):
        mean = self.linear(x).squeeze(-1)
        with pyro.plate("n", 10):
            pyro.sample("y", dist.Normal(mean, 0.5), obs=torch.zeros(10))


model = Net()
guide = AutoDiagonalNormal(model)
""",
    "amortised_over_batches": """
data = torch.linspace(-1.0, 1.0, 50)
net = torch.nn.Linear(1, 1)


def model(x):
    s = pyro.param("s", torch.tensor(1.0), constraint=constraints.positive)
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, s))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def guide(x):
    pyro.module("net", net)
    with pyro.plate("n", len(x)):
        pyro.sample("z", dist.Normal(net(x[:, None]).squeeze(-1), 1.0))


def batch(step):
    return (data[(10 * step) % 50 :][:10],)


def full_batch():
    return (data,)
""",
    "components_that_start_alike": """
@config_enumerate
def model():
    mu = pyro.param("mu", torch.zeros(2))
    with pyro.plate("n", 6):
        k = pyro.sample("k", dist.Categorical(torch.ones(2)))
        pyro.sample("x", dist.Normal(mu[k], 1.0), obs=torch.linspace(-3.0, 3.0, 6))


def guide():
    pass


loss = TraceEnum_ELBO(max_plate_nesting=1)
""",
    "latent_summed_out_through_its_parameter": """
def model():
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("u", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 6):
        pyro.sample("x", dist.Normal(loc, 1.4), obs=torch.linspace(-3.0, 3.0, 6))


def guide():
    pyro.sample("u", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.5))
""",
}
