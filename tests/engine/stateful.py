"""Models that keep state of their own, which a look must not touch: scenarios as text."""

from __future__ import annotations

from tests.engine.matrix import scenario

GUIDE = """
def guide():
    m = pyro.param("m", lambda: torch.tensor(-2.0))
    pyro.sample("z", dist.Normal(m, 0.7))
"""

METHOD = """
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.tensor(0.0))

    def draw(self):
        self.calls += 1
        with pyro.poutine.scale(scale=WEIGHT):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))

keep = Model()

def model():
    keep.draw()

model.keep = keep
"""

FLOW = """
from pyro.distributions.transforms import BatchNorm, affine_autoregressive
norm, flow = BatchNorm(2), affine_autoregressive(2, hidden_dims=[4])

def model():
    z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.sample("x", dist.Normal(z.sum(-1), 1.0), obs=torch.tensor(0.5))

def guide():
    pyro.module("norm", norm)
    pyro.module("flow", flow)
    base = dist.Normal(torch.zeros(2), 1.0).to_event(1)
    pyro.sample("z", dist.TransformedDistribution(base, [norm, flow]))

guide.keep = norm
"""

SCRIPTED = """
net = torch.jit.script(
    torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
)
data = torch.arange(8.0).reshape(4, 2)

def model():
    pyro.module("net", net)
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 4):
        pyro.sample("x", dist.Normal(net(data).squeeze(-1) + z, 1.0), obs=data[:, 0])

model.keep = net
"""

GENERATOR = """
own = torch.Generator().manual_seed(5)

def model():
    noise = torch.randn((), generator=own)
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z + noise, 1.0), obs=torch.tensor(0.5))
"""

NUMPY = """
import numpy as np
own = np.random.default_rng(5)

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z + float(own.normal()), 1.0), obs=torch.tensor(0.5))
"""

ITERATOR = """
source = iter(torch.linspace(-1.0, 1.0, 4000))

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=next(source))
"""

LINES = """
import tempfile
made = tempfile.TemporaryFile("w+")
made.write("".join(f"{i % 7}\\n" for i in range(20_000)))
made.seek(0)

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(float(made.readline())))
"""

COUNTER = """
calls = 0

def model():
    global calls
    calls += 1
    with pyro.poutine.scale(scale=min(1.0, calls / 50)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=torch.tensor(0.5))
"""

BORN_LATE = """
at = [0]

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    a = pyro.param("a", lambda: torch.tensor(0.3)) if at[0] > 2 else torch.tensor(0.3)
    pyro.sample("x", dist.Normal(z + a, 1.0), obs=torch.tensor(0.5))

def batch(step):
    at[0] = step
    return ()
"""

LATE_PLATE = """
data = torch.tensor([0.5, 1.0, 1.5])

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 3):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)
"""

VECTORISED = "Trace_ELBO(num_particles=3, vectorize_particles=True)"

STATEFUL = {
    "buffer changed in a method": scenario(METHOD.replace("WEIGHT", "1.0"), GUIDE),
    "annealed by a buffer": scenario(
        METHOD.replace("WEIGHT", "(self.calls / 50).clamp(max=1.0)"), GUIDE
    ),
    "BatchNorm in a flow": scenario(FLOW),
    "scripted net with BatchNorm": scenario(SCRIPTED, GUIDE),
    "torch generator": scenario(GENERATOR, GUIDE),
    "NumPy generator": scenario(NUMPY, GUIDE),
    "iterator": scenario(ITERATOR, GUIDE),
    "file that is read on": scenario(LINES, GUIDE),
    "counter": scenario(COUNTER, GUIDE),
    "parameter born later": scenario(BORN_LATE, GUIDE),
    "nesting guessed late": scenario(LATE_PLATE, GUIDE, loss=VECTORISED),
}

INCOMPARABLE = {
    "annealed by a buffer": "besides the parameters|keeps state of its own",
    "BatchNorm in a flow": "besides the parameters|keeps state of its own",
    "torch generator": "keeps state of its own",
    "NumPy generator": "keeps state of its own",
    "iterator": "keeps state of its own",
    "file that is read on": "keeps state of its own",
    "counter": "besides the parameters|keeps state of its own",
}
"""Those of which looks at two steps cannot be compared, and how the reason begins."""
