"""Faulty scenarios of one kind in many shapes, and healthy ones that look like them.

Each is the body of a file, after the imports of `examples.PRELUDE`.
"""

from __future__ import annotations

X = """
x = torch.linspace(-1.0, 1.0, 12)
y = 1.0 + 2.0 * x
"""

LINE = (
    X
    + """
def model():
    a = pyro.sample("intercept", dist.Normal(0.0, 3.0))
    b = pyro.sample("slope", dist.Normal(0.0, 3.0))
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(a + b * x, 0.5), obs=y)

"""
)

FAULTY: dict[str, tuple[str, set[tuple[str, str]]]] = {
    "misspelt_site": (
        LINE
        + """
def guide():
    m = pyro.param("m", torch.zeros(2))
    pyro.sample("intercept", dist.Normal(m[0], 0.1))
    pyro.sample("slop", dist.Normal(m[1], 0.1))
""",
        {("not-in-model", "slop"), ("missing-in-guide", "slope")},
    ),
    "rows_drawn_in_model": (
        X
        + """
def model():
    rows = torch.randperm(12)[:4]
    a = pyro.sample("a", dist.Normal(0.0, 3.0))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Normal(a * x[rows], 0.5), obs=y[rows])


guide = AutoNormal(model)
""",
        {("minibatch-without-scale", "y")},
    ),
    "autoguide_over_block": (
        LINE + 'guide = AutoDiagonalNormal(poutine.block(model, hide=["slope"]))',
        {("missing-in-guide", "slope")},
    ),
    "obs_left_out": (
        X
        + """
def model(y=None):
    a = pyro.sample("a", dist.Normal(0.0, 3.0))
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(a * x, 0.5), obs=y)


def guide(y=None):
    pyro.sample("a", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.1))
""",
        {("missing-in-guide", "y"), ("no-data", "")},
    ),
    "normal_for_simplex": (
        """
def model():
    p = pyro.sample("p", dist.Dirichlet(torch.ones(3)))
    with pyro.plate("n", 4):
        pyro.sample("k", dist.Categorical(p), obs=torch.tensor([0, 1, 2, 1]))


def guide():
    loc = pyro.param("loc", torch.ones(3) / 3)
    pyro.sample("p", dist.Normal(loc, 0.1).to_event(1))
""",
        {("outside-support", "p")},
    ),
    "normal_for_probability": (
        """
def model():
    p = pyro.sample("p", dist.Beta(2.0, 2.0))
    with pyro.plate("n", 4):
        pyro.sample("k", dist.Bernoulli(p), obs=torch.tensor([0.0, 1.0, 1.0, 1.0]))


def guide():
    loc = pyro.param("loc", torch.tensor(0.5))
    pyro.sample("p", dist.Normal(loc, 0.05))
""",
        {("outside-support", "p")},
    ),
    "delta_off_support": (
        """
def model():
    s = pyro.sample("s", dist.LogNormal(0.0, 1.0))
    pyro.sample("x", dist.Normal(0.0, s), obs=torch.tensor(1.0))


def guide():
    pyro.sample("s", dist.Delta(pyro.param("s0", torch.tensor(-0.5))))
""",
        {("outside-support", "s")},
    ),
    "categories_beyond": (
        """
@config_enumerate
def model():
    k = pyro.sample("k", dist.Categorical(torch.tensor([0.5, 0.5])))
    pyro.sample("x", dist.Normal(k * 1.0, 1.0), obs=torch.tensor(1.0))


def guide():
    p = pyro.param("p", torch.ones(3) / 3, constraint=constraints.simplex)
    pyro.sample("k", dist.Categorical(p))


loss = TraceGraph_ELBO()
""",
        {("outside-support", "k")},
    ),
    "observed_in_guide_in_two_plates": (
        """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("a", 3, dim=-2), pyro.plate("b", 2, dim=-1):
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.zeros(3, 2))


def guide():
    z = pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.0)), 1.0))
    with pyro.plate("a", 3, dim=-2), pyro.plate("b", 2, dim=-1):
        pyro.sample("x", dist.Normal(z, 1.0))
""",
        {("observed-in-model", "x")},
    ),
    "hierarchy_without_use": (
        """
def model():
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    tau = pyro.sample("tau", dist.HalfNormal(1.0))
    with pyro.plate("g", 4):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("x", dist.Normal(mu, 1.0), obs=torch.zeros(4))


guide = AutoNormal(model)
""",
        {("unused-latent", "theta"), ("unused-latent", "tau")},
    ),
    "scale_from_network_without_softplus": (
        """
net = torch.nn.Linear(1, 2)


def model(x):
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def guide(x):
    pyro.module("net", net)
    with pyro.plate("n", len(x)):
        loc, scale = net(x[:, None]).unbind(-1)
        pyro.sample("z", dist.Normal(loc, scale))


def batch(step):
    return (torch.linspace(-1.0, 1.0, 6),)
""",
        {("invalid-argument", "z")},
    ),
    "rate_of_gamma_in_two_plates": (
        """
def model():
    with pyro.plate("a", 3, dim=-2), pyro.plate("b", 2, dim=-1):
        z = pyro.sample("z", dist.Gamma(2.0, 1.0))
        pyro.sample("x", dist.Poisson(z), obs=torch.ones(3, 2))


def guide():
    rate = pyro.param("rate", torch.ones(3, 2))
    with pyro.plate("a", 3, dim=-2), pyro.plate("b", 2, dim=-1):
        pyro.sample("z", dist.Gamma(2.0, rate))
""",
        {("missing-constraint", "rate")},
    ),
    "probability_without_constraint": (
        """
def model():
    p = pyro.param("p", torch.tensor(0.9))
    with pyro.plate("n", 5):
        pyro.sample("x", dist.Bernoulli(p), obs=torch.ones(5))


def guide():
    pass
""",
        {("missing-constraint", "p")},
    ),
    "cholesky_without_constraint": (
        """
def model():
    z = pyro.sample("z", dist.MultivariateNormal(torch.zeros(2), torch.eye(2)))
    pyro.sample("x", dist.Normal(z.sum(), 1.0), obs=torch.tensor(1.0))


def guide():
    loc = pyro.param("loc", torch.zeros(2))
    tril = pyro.param("tril", 0.3 * torch.eye(2))
    pyro.sample("z", dist.MultivariateNormal(loc, scale_tril=tril))
""",
        {("missing-constraint", "tril")},
    ),
    "unscaled_indices": (
        """
data = torch.linspace(-1.0, 1.0, 60)


def model(rows):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("n", len(rows)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data[rows])


guide = AutoNormal(model)


def batch(step):
    return (torch.arange(6 * step, 6 * step + 6) % 60,)
""",
        {("minibatch-without-scale", "n")},
    ),
    "unscaled_in_two_plates": (
        """
data = torch.zeros(40, 3)


def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("columns", 3, dim=-1), pyro.plate("rows", len(x), dim=-2):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


guide = AutoNormal(model)


def batch(step):
    return (data[(4 * step) % 40 :][:4],)


def full_batch():
    return (data,)
""",
        {("minibatch-without-scale", "rows")},
    ),
    "scaled_twice": (
        """
data = torch.zeros(40)


def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("rows", 40, subsample_size=len(x)), poutine.scale(scale=40 / len(x)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


guide = AutoNormal(model)


def batch(step):
    return (data[(4 * step) % 40 :][:4],)


def full_batch():
    return (data,)
""",
        {("minibatch-without-scale", "rows")},
    ),
    "other_subsample_by_hand": (
        """
data = torch.linspace(0.0, 1.0, 20)


def model(rows):
    with pyro.plate("n", 20, subsample=rows):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=data[rows])


def guide(rows):
    loc = pyro.param("loc", torch.zeros(20))
    with pyro.plate("n", 20, subsample_size=4) as chosen:
        pyro.sample("z", dist.Normal(loc[chosen], 1.0))


def batch(step):
    return ((torch.arange(4) + step) % 20,)
""",
        {("indices-differ", "n")},
    ),
    "column_against_row": (
        """
x, y = torch.linspace(0.0, 1.0, 5)[:, None], torch.zeros(5)


def model():
    w = pyro.sample("w", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(w * x, 1.0), obs=y)


guide = AutoNormal(model)
""",
        {("more-terms-than-data", "y")},
    ),
    "vector_without_plate": (
        """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0).expand([4]), obs=torch.zeros(4))


def guide():
    pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.0)), 1.0))
""",
        {("vector-outside-plate", "x")},
    ),
    "nan_unmasked": (
        X
        + """
y[3] = float("nan")


def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.StudentT(4.0, a * x, 1.0), obs=y)


guide = AutoNormal(model)
""",
        {("data-not-finite", "y")},
    ),
    "nan_masked_by_method": (
        X
        + """
y[3] = float("nan")


def model():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(x)):
        likelihood = dist.Normal(a * x, 1.0, validate_args=False).mask(~torch.isnan(y))
        pyro.sample("y", likelihood, obs=y)


guide = AutoNormal(model)
""",
        {("masked-nan", "y")},
    ),
    "counts_for_bernoulli": (
        """
def model():
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    with pyro.plate("n", 3):
        pyro.sample("x", dist.Bernoulli(p), obs=torch.tensor([0.0, 1.0, 2.0]))


guide = AutoNormal(model)
""",
        {("data-outside-support", "x")},
    ),
    "zero_for_lognormal": (
        """
def model():
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 3):
        pyro.sample("x", dist.LogNormal(m, 1.0), obs=torch.tensor([0.0, 1.0, 2.0]))


guide = AutoDelta(model)
""",
        {("data-outside-support", "x")},
    ),
    "factor_inside_plate": (
        """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 10):
        pyro.factor("f", -(z**2))


guide = AutoNormal(model)
""",
        {("factor-shape", "f")},
    ),
    "detached": (
        LINE
        + """
def guide():
    m = pyro.param("m", torch.zeros(2))
    s = pyro.param("s", torch.ones(2), constraint=constraints.positive)
    pyro.sample("intercept", dist.Normal(m.detach()[0], s[0]))
    pyro.sample("slope", dist.Normal(m.data[1], s[1]))
""",
        {("no-gradient", "m")},
    ),
    "leaf_tensor": (
        """
loc = torch.tensor(0.0, requires_grad=True)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


def guide():
    s = pyro.param("s", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, s))
""",
        {("not-in-store", "loc")},
    ),
    "decoder_not_registered": (
        """
decoder = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))


def model():
    with pyro.plate("n", 4):
        z = pyro.sample("z", dist.Normal(torch.zeros(4, 1), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(decoder(z), 1.0).to_event(1), obs=torch.zeros(4, 2))


guide = AutoNormal(model)
""",
        {("not-in-store", "decoder")},
    ),
    "module_registered_outside": (
        """
net = torch.nn.Linear(1, 1)
pyro.module("net", net)


def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


def guide():
    pyro.sample("z", dist.Normal(net(torch.ones(1)).sum(), 1.0))


""",
        {("unread-parameter", "net$$$weight")},
    ),
    "plate_larger_than_all_data": (
        """
data = torch.linspace(-1.0, 1.0, 50)


def model(x):
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 5000, subsample=x):
        pyro.sample("x", dist.Normal(m, 1.0), obs=x)


guide = AutoNormal(model)


def batch(step):
    return (data[(10 * step) % 50 :][:10],)


def full_batch():
    return (data,)
""",
        {("minibatch-without-scale", "n")},
    ),
    "negative_data_of_a_gamma": (
        """
def model():
    a = pyro.sample("a", dist.LogNormal(0.0, 1.0))
    with pyro.plate("n", 3):
        wanted = dist.Gamma(a, 1.0, validate_args=False)
        pyro.sample("y", wanted, obs=torch.tensor([1.0, 2.0, -1.0]))


guide = AutoNormal(model)
""",
        {("data-outside-support", "y")},
    ),
    "one_name_for_two": (
        LINE
        + """
def guide():
    a = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("intercept", dist.Normal(a, 0.1))
    b = pyro.param("loc", torch.tensor(1.0))
    pyro.sample("slope", dist.Normal(b, 0.1))
""",
        {("initial-value-ignored", "loc")},
    ),
    "enumerate_in_guide_for_trace": (
        """
def model():
    k = pyro.sample("k", dist.Categorical(torch.ones(3) / 3))
    with pyro.plate("n", 5):
        pyro.sample("x", dist.Normal(k * 1.0, 1.0), obs=torch.ones(5))


def guide():
    p = pyro.param("p", torch.ones(3) / 3, constraint=constraints.simplex)
    pyro.sample("k", dist.Categorical(p), infer={"enumerate": "parallel"})


loss = TraceMeanField_ELBO()
""",
        {("enumerate-ignored", "k"), ("not-differentiable", "k")},
    ),
    "poisson_latent": (
        """
def model():
    k = pyro.sample("k", dist.Poisson(3.0))
    with pyro.plate("n", 5):
        pyro.sample("x", dist.Normal(k, 1.0), obs=torch.ones(5))


def guide():
    rate = pyro.param("rate", torch.tensor(3.0), constraint=constraints.positive)
    pyro.sample("k", dist.Poisson(rate))
""",
        {("not-differentiable", "k")},
    ),
    "unmarked_under_enum": (
        """
def model():
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 3):
        k = pyro.sample("k", dist.Bernoulli(0.5))
        pyro.sample("x", dist.Normal(m + k, 1.0), obs=torch.zeros(3))


guide = AutoNormal(poutine.block(model, hide=["k"]))
loss = TraceEnum_ELBO(max_plate_nesting=1)
""",
        {("missing-in-guide", "k"), ("nothing-to-enumerate", "")},
    ),
    "counter_in_model": (
        """
calls = [0]


def model():
    calls[0] += 1
    z = pyro.sample("z", dist.Normal(0.0, 1.0 + 0.1 * calls[0]))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        {("random-beyond-sites", "model")},
    ),
    "dropout_in_decoder": (
        """
net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))


def model():
    pyro.module("net", net)
    with pyro.plate("n", 4):
        z = pyro.sample("z", dist.Normal(torch.zeros(4, 1), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(net(z), 1.0).to_event(1), obs=torch.zeros(4, 1))


guide = AutoNormal(model)
""",
        {("random-beyond-sites", "Dropout")},
    ),
    "hierarchical_map": (
        """
def model():
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    sd = pyro.sample("sd", dist.HalfNormal(2.0))
    with pyro.plate("g", 6):
        a = pyro.sample("a", dist.Normal(mu, sd))
        pyro.sample("x", dist.Normal(a, 1.0), obs=torch.linspace(-2.0, 2.0, 6))


guide = AutoDelta(model)
""",
        {("unbounded-map", "sd")},
    ),
    "lrd_of_an_epoch": (
        LINE
        + """
guide = AutoNormal(model)
optimizer = pyro.optim.ClippedAdam({"lr": 0.05, "lrd": 0.98})
""",
        {("rate-will-vanish", "")},
    ),
    "float64_data": (
        LINE.replace("obs=y", "obs=y.double()") + "guide = AutoNormal(model)\n",
        {("mixed-precision", "y")},
    ),
    "float64_product": (
        """
design = torch.eye(3, dtype=torch.float64)


def model():
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    with pyro.plate("n", 3):
        pyro.sample("x", dist.Normal(design @ w, 1.0), obs=torch.zeros(3))


def guide():
    m = pyro.param("m", torch.zeros(3))
    pyro.sample("w", dist.Normal(m, 0.1).to_event(1))
""",
        {("mixed-precision", "")},
    ),
    "guide_plate_too_small": (
        """
def model():
    with pyro.plate("n", 6):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.zeros(6))


def guide():
    m = pyro.param("m", torch.zeros(5))
    with pyro.plate("n", 5):
        pyro.sample("z", dist.Normal(m, 0.1))
""",
        {("plate-size-differs", "n")},
    ),
    "plate_longer_than_data": (
        """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 100):
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.zeros(7))


def guide():
    pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.0)), 1.0))
""",
        {("plate-size-mismatch", "n")},
    ),
    "nesting_too_small": (
        """
@config_enumerate
def model():
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    with pyro.plate("n", 4):
        k = pyro.sample("k", dist.Bernoulli(p))
        pyro.sample("x", dist.Normal(k, 1.0), obs=torch.zeros(4))


guide = AutoNormal(poutine.block(model, hide=["k"]))
loss = TraceEnum_ELBO(max_plate_nesting=0)
""",
        {("step-fails", "")},
    ),
    "autoguide_of_a_discrete_site": (
        """
def model():
    k = pyro.sample("k", dist.Bernoulli(0.5))
    pyro.sample("x", dist.Normal(k, 1.0), obs=torch.tensor(1.0))


guide = AutoNormal(model)
""",
        {("step-fails", "k")},
    ),
    "prior_of_a_scale": (
        """
def model():
    sd = pyro.sample("sd", dist.Normal(1.0, 1.0))
    with pyro.plate("n", 4):
        pyro.sample("x", dist.Normal(0.0, sd), obs=torch.ones(4))


guide = AutoNormal(model, init_scale=1.0)
""",
        {("invalid-argument", "x")},
    ),
}
"""By name: the scenario, and the rules and subjects that must be found."""
