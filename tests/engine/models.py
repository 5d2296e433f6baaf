"""Models and guides of the engine's tests, as the text of a scenario's file."""

SUBSAMPLE = """
data = torch.linspace(-1.0, 2.0, 10)

def model():
    loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
    with pyro.plate("points", 10, subsample_size=4) as chosen:
        z = pyro.sample("z", dist.Normal(loc, 0.5))
        pyro.sample("x", dist.Normal(z, 0.3), obs=data[chosen])
"""

SUBSAMPLE_GUIDE = """
def guide():
    m = pyro.param("m", lambda: torch.tensor(0.1))
    pyro.sample("loc", dist.Normal(m, 0.4))
    with pyro.plate("points", 10, subsample_size=4) as chosen:
        local = pyro.param("local", lambda: torch.zeros(10))
        pyro.sample("z", dist.Normal(local[chosen], 0.2))
"""

NETWORK = """
from torch import nn

images = (torch.rand(12, 6) > 0.5).float()

class Decoder(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 6)
        )

decoder = Decoder()
encoder = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Softplus(), nn.Linear(5, 4))

def model(x):
    pyro.module("decoder", decoder)
    with pyro.plate("images", 12, subsample=x):
        z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 2), 1.0).to_event(1))
        pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

def guide(x):
    pyro.module("encoder", encoder)
    with pyro.plate("images", 12, subsample=x):
        loc, log_scale = encoder(x).chunk(2, -1)
        pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))

def batch(step):
    start = 4 * (step % 3)
    return (images[start : start + 4],)

model.keep, guide.keep = decoder, encoder
"""

BAYESIAN_NETWORK = """
from pyro.nn import PyroModule, PyroSample

inputs = torch.randn(8, 2)
targets = inputs.sum(-1)

class Net(PyroModule):
    def __init__(self):
        super().__init__()
        self.hidden = PyroModule[torch.nn.Linear](2, 3)
        self.hidden.weight = PyroSample(dist.Normal(0.0, 1.0).expand([3, 2]).to_event(2))
        self.last = PyroModule[torch.nn.Linear](3, 1)

    def forward(self, x, y=None):
        mean = self.last(torch.tanh(self.hidden(x))).squeeze(-1)
        noise = pyro.sample("noise", dist.HalfNormal(1.0))
        with pyro.plate("points", len(x)):
            pyro.sample("y", dist.Normal(mean, noise), obs=y)

model = Net()
guide = AutoDiagonalNormal(model)

def batch(step):
    return inputs[step % 2 :: 2], targets[step % 2 :: 2]
"""

BASELINE = """
from torch import nn

net = nn.Linear(1, 1)

def model():
    p = pyro.sample("p", dist.Beta(2.0, 2.0))
    with pyro.plate("flips", 3):
        k = pyro.sample("k", dist.Bernoulli(p))
        pyro.sample("x", dist.Normal(2.0 * k, 1.0), obs=torch.tensor([0.1, 1.9, 1.2]))

def guide():
    a = pyro.param("a", lambda: torch.tensor(2.0), constraint=constraints.positive)
    p = pyro.sample(
        "p", dist.Beta(a, 2.0).has_rsample_(False), infer=dict(baseline=dict(BASELINE_OPTIONS))
    )
    q = pyro.param("q", lambda: torch.full((3,), 0.4), constraint=constraints.unit_interval)
    with pyro.plate("flips", 3):
        average = dict(use_decaying_avg_baseline=True)
        pyro.sample("k", dist.Bernoulli(q), infer=dict(baseline=average))
"""

MIXTURE = """
data = torch.tensor([-1.1, 0.4, 2.3, 1.8])

def model():
    w = pyro.param("w", lambda: torch.tensor([0.3, 0.7]), constraint=constraints.simplex)
    low = pyro.sample("low", dist.Normal(0.0, 3.0))
    high = pyro.sample("high", dist.Normal(0.0, 3.0))
    with pyro.plate("points", 4):
        k = pyro.sample("k", dist.Categorical(w), infer=dict(enumerate="parallel"))
        pyro.sample("x", dist.Normal(torch.where(k == 0, low, high), 1.0), obs=data)
"""

ENUMERATED_GUIDE = """
data = torch.tensor([-1.1, 0.4, 2.3, 1.8])

def model():
    loc = pyro.sample("loc", dist.Normal(0.0, 3.0))
    with pyro.plate("points", 4):
        k = pyro.sample("k", dist.Categorical(torch.tensor([0.3, 0.7])))
        pyro.sample("x", dist.Normal(loc + k, 1.0), obs=data)

@config_enumerate(default="HOW")
def guide():
    m = pyro.param("m", lambda: torch.tensor(0.2))
    pyro.sample("loc", dist.Normal(m, 0.5))
    q = pyro.param("q", lambda: torch.tensor([0.4, 0.6]), constraint=constraints.simplex)
    PLATE
        pyro.sample("k", dist.Categorical(q))
"""

SEQUENTIAL = """
data = torch.tensor([-1.1, 2.3])

def model():
    loc = pyro.sample("loc", dist.Normal(0.0, 3.0))
    for i in pyro.plate("points", 2):
        k = pyro.sample(f"k_{i}", dist.Bernoulli(0.3))
        pyro.sample(f"x_{i}", dist.Normal(loc + k, 1.0), obs=data[i])

@config_enumerate(default="sequential")
def guide():
    m = pyro.param("m", lambda: torch.tensor(0.2))
    pyro.sample("loc", dist.Normal(m, 0.5))
    q = pyro.param("q", lambda: torch.tensor([0.4, 0.6]), constraint=constraints.unit_interval)
    for i in pyro.plate("points", 2):
        pyro.sample(f"k_{i}", dist.Bernoulli(q[i]))
"""

MARKOV = """
data = [0, 1, 1, 0]

@config_enumerate
def model():
    move = pyro.sample("move", dist.Dirichlet(torch.ones(2, 2)).to_event(1))
    show = pyro.param(
        "show", lambda: torch.tensor([0.2, 0.7]), constraint=constraints.unit_interval
    )
    state = 0
    for t in pyro.markov(range(len(data))):
        state = pyro.sample(f"state_{t}", dist.Categorical(move[..., state, :]))
        pyro.sample(f"x_{t}", dist.Bernoulli(show[state]), obs=torch.tensor(float(data[t])))

guide = AutoNormal(poutine.block(model, expose=["move"]))
"""

MONTE_CARLO_TENSOR = """
data = torch.tensor([0.3, 1.2, -0.4])

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("points", 3):
        y = pyro.sample("y", dist.Normal(z, 1.0))
        pyro.sample("x", dist.Normal(y, 0.5), obs=data)

@config_enumerate(default="parallel", num_samples=3, expand=False)
def guide():
    m = pyro.param("m", lambda: torch.tensor(0.1))
    n = pyro.param("n", lambda: torch.zeros(3))
    pyro.sample("z", dist.Normal(m, 0.8))
    with pyro.plate("points", 3):
        pyro.sample("y", dist.Normal(n, 0.7))
"""

SCALED = """
data = torch.tensor([0.3, 1.2, -0.4, 0.8])
seen = torch.tensor([True, False, True, True])

def model():
    with poutine.scale(scale=0.5):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("points", 4), poutine.mask(mask=seen):
        y = pyro.sample("y", dist.Normal(z, 1.0))
        pyro.sample("x", dist.Normal(y, 0.5), obs=data)
    pyro.factor("penalty", -0.1 * z**2)
    pyro.deterministic("double", 2 * z)

def guide():
    m = pyro.param("m", lambda: torch.tensor(0.1))
    n = pyro.param("n", lambda: torch.zeros(4))
    with poutine.scale(scale=0.5):
        pyro.sample("z", dist.Normal(m, 0.8))
    with pyro.plate("points", 4), poutine.mask(mask=seen):
        pyro.sample("y", dist.Normal(n, 0.7))
"""

WAKE_SLEEP = """
def model(observations={"x": torch.tensor(0.7)}):
    a = pyro.param("a", lambda: torch.tensor(0.3))
    z = pyro.sample("z", dist.Normal(a, 1.0))
    pyro.sample("x", dist.Normal(z, 0.5), obs=observations["x"])

def guide(observations={"x": torch.tensor(0.7)}):
    w = pyro.param("w", lambda: torch.tensor(0.4))
    pyro.sample("z", dist.Normal(w * observations["x"], 0.6))
"""

SHAPE_SHIFTING = """
import random
import numpy as np

noise = np.random.randn() + random.random()

def model(step):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Bernoulli(0.5))
    if b:
        pyro.sample("only_when_b", dist.Normal(z, 1.0))
    if step > 2:
        late = pyro.param("late", lambda: torch.tensor(0.5))
        pyro.sample("x", dist.Normal(late * z, 1.0), obs=torch.tensor(noise + np.random.randn()))
    pyro.sample("y", dist.Normal(z, 1.0), obs=torch.tensor(random.random()))

def guide(step):
    m = pyro.param("m", lambda: torch.tensor(0.1, dtype=torch.float64))
    z = pyro.sample("z", dist.Normal(m, 1.0))
    q = pyro.param("q", lambda: torch.tensor(0.4), constraint=constraints.unit_interval)
    b = pyro.sample("b", dist.Bernoulli(q))
    if b:
        s = pyro.param("s", lambda: torch.tensor(0.4), constraint=constraints.positive)
        pyro.sample("only_when_b", dist.Normal(z, s))

def batch(step):
    return (step,)
"""

LOPSIDED = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    extra = pyro.sample("in_model_only", dist.Normal(z, 1.0))
    pyro.sample("x", dist.Normal(extra, 1.0), obs=torch.tensor(0.4))

def guide():
    m = pyro.param("m", lambda: torch.tensor(0.1))
    h = pyro.sample("helper", dist.Normal(m, 0.5), infer=dict(is_auxiliary=True))
    pyro.sample("in_guide_only", dist.Normal(0.0, 1.0))
    pyro.sample("z", dist.Normal(h, 0.7))
"""

UNTOUCHED = """
def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.4))

def guide():
    pyro.sample("z", dist.Normal(0.2, 0.7))
"""

INFINITE = """
def model(step):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    if step == 3:
        pyro.factor("wall", torch.tensor(-torch.inf))
guide = AutoNormal(model)
def batch(step):
    return (step,)
"""
