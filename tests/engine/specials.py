"""What the matrix does not reach: optimisers, schedulers, networks, enumeration, plates."""

from __future__ import annotations

from tests.engine.matrix import CONTINUOUS, GUIDES, scenario
from tests.engine.models import (
    BASELINE,
    BAYESIAN_NETWORK,
    ENUMERATED_GUIDE,
    INFINITE,
    LOPSIDED,
    MARKOV,
    MIXTURE,
    MONTE_CARLO_TENSOR,
    NETWORK,
    SCALED,
    SEQUENTIAL,
    SHAPE_SHIFTING,
    SUBSAMPLE,
    SUBSAMPLE_GUIDE,
    UNTOUCHED,
    WAKE_SLEEP,
)

OPTIMIZERS = {
    "Adam-clipped-by-norm": "pyro.optim.Adam(dict(lr=0.05), dict(clip_norm=0.1))",
    "Adam-clipped-by-value": "pyro.optim.Adam(dict(lr=0.05), dict(clip_value=0.05))",
    "Adam-by-name": "pyro.optim.Adam(lambda name: dict(lr=0.1 if 'locs' in name else 0.01))",
    "ClippedAdam": "pyro.optim.ClippedAdam(dict(lr=0.05, lrd=0.9, clip_norm=0.1))",
    "SGD-momentum": "pyro.optim.SGD(dict(lr=0.01, momentum=0.9, nesterov=True))",
    "AdagradRMSProp": "pyro.optim.AdagradRMSProp(dict(eta=0.1))",
    "DCTAdam": "pyro.optim.DCTAdam(dict(lr=0.05))",
    "Adadelta": "pyro.optim.Adadelta(dict(lr=1.0))",
    "Adagrad": "pyro.optim.Adagrad(dict(lr=0.1))",
    "AdamW": "pyro.optim.AdamW(dict(lr=0.05, amsgrad=True))",
    "ASGD": "pyro.optim.ASGD(dict(lr=0.05))",
    "RMSprop": "pyro.optim.RMSprop(dict(lr=0.05, centered=True, momentum=0.5))",
    "Rprop": "pyro.optim.Rprop(dict(lr=0.05))",
    "NAdam-wrapped": "pyro.optim.PyroOptim(torch.optim.NAdam, dict(lr=0.05))",
}

_SGD = "optimizer=torch.optim.SGD, optim_args=dict(lr=0.02, momentum=0.9)"
_ADAM = "optimizer=torch.optim.Adam, optim_args=dict(lr=0.02)"

SCHEDULERS = {
    "ExponentialLR": f"pyro.optim.ExponentialLR(dict({_ADAM}, gamma=0.7))",
    "CosineAnnealingLR": f"pyro.optim.CosineAnnealingLR(dict({_SGD}, T_max=4))",
    "LambdaLR": f"pyro.optim.LambdaLR(dict({_ADAM}, lr_lambda=lambda t: 1 / (1 + t)))",
    "ReduceLROnPlateau": (
        f"pyro.optim.ReduceLROnPlateau(dict({_ADAM}, patience=0, factor=0.5, threshold=10.0))"
    ),
    "StepLR": f"pyro.optim.StepLR(dict({_SGD}, step_size=2, gamma=0.5), dict(clip_norm=0.5))",
    "OneCycleLR": f"pyro.optim.OneCycleLR(dict({_SGD}, max_lr=0.1, total_steps=20))",
}

_AUTO_NORMAL = GUIDES["AutoNormal"][1]


def with_optimizer(optimizer: str, *more: str) -> str:
    """The hierarchical model with AutoNormal, trained by this optimiser."""
    return scenario(CONTINUOUS, _AUTO_NORMAL, *more, optimizer=optimizer)


_PARALLEL = ENUMERATED_GUIDE.replace("HOW", "parallel").replace(
    "PLATE", 'with pyro.plate("points", 4):'
)
_BY_HAND = GUIDES["by_hand"][1]
_P2 = "num_particles=2"
_P3V = "num_particles=3, vectorize_particles=True"
_DELTA = 'guide = AutoDelta(poutine.block(model, hide=["k"]))'
_LOCAL = "pyro.settings.set(module_local_params=True)"

SPECIALS = {
    "subsample": scenario(SUBSAMPLE, SUBSAMPLE_GUIDE),
    "subsample-looped": scenario(SUBSAMPLE, SUBSAMPLE_GUIDE, loss=f"Trace_ELBO({_P2})"),
    "subsample-vectorised": scenario(SUBSAMPLE, SUBSAMPLE_GUIDE, loss=f"Trace_ELBO({_P3V})"),
    "subsample-auto": scenario(SUBSAMPLE, _AUTO_NORMAL),
    "subsample-messenger": scenario(
        SUBSAMPLE, 'guide = AutoNormalMessenger(model, amortized_plates=("points",))'
    ),
    "network": scenario(NETWORK),
    "network-mean-field": scenario(NETWORK, loss="TraceMeanField_ELBO()"),
    "network-jit": scenario(NETWORK, loss="JitTrace_ELBO()"),
    "network-evaluated": scenario(NETWORK, "decoder.eval()"),
    "bayesian-network": scenario(BAYESIAN_NETWORK),
    "local-parameters": scenario(_LOCAL, SUBSAMPLE, _AUTO_NORMAL),
    "baseline-average": scenario(
        BASELINE.replace("BASELINE_OPTIONS", "use_decaying_avg_baseline=True"),
        loss="TraceGraph_ELBO()",
    ),
    "baseline-network": scenario(
        BASELINE.replace(
            "BASELINE_OPTIONS", "nn_baseline=lambda x: net(x)[0], nn_baseline_input=torch.ones(1)"
        ),
        loss=f"TraceGraph_ELBO({_P2})",
    ),
    "enumerated-model": scenario(MIXTURE, _DELTA, loss="TraceEnum_ELBO()"),
    "enumerated-model-looped": scenario(
        MIXTURE, _DELTA.replace("Delta", "Normal"), loss=f"TraceEnum_ELBO({_P2})"
    ),
    "enumerated-model-jit": scenario(
        MIXTURE, _DELTA, loss="JitTraceEnum_ELBO(max_plate_nesting=1)"
    ),
    "enumerated-guide": scenario(_PARALLEL, loss="TraceEnum_ELBO()"),
    "enumerated-guide-looped": scenario(_PARALLEL, loss=f"TraceEnum_ELBO({_P2})"),
    "enumerated-guide-vectorised": scenario(_PARALLEL, loss=f"TraceEnum_ELBO({_P3V})"),
    "enumerated-sequentially": scenario(SEQUENTIAL, loss="TraceEnum_ELBO()"),
    "enumerated-sequentially-looped": scenario(SEQUENTIAL, loss=f"TraceEnum_ELBO({_P2})"),
    "enumerated-markov": scenario(MARKOV, loss="TraceEnum_ELBO(max_plate_nesting=0)"),
    "monte-carlo-tensor": scenario(MONTE_CARLO_TENSOR, loss="TraceTMC_ELBO(max_plate_nesting=1)"),
    "monte-carlo-enumerated": scenario(
        MONTE_CARLO_TENSOR, loss="TraceEnum_ELBO(max_plate_nesting=1)"
    ),
    "scaled": scenario(SCALED),
    "scaled-vectorised": scenario(SCALED, loss=f"Trace_ELBO({_P3V})"),
    "scaled-graph": scenario(SCALED, loss="TraceGraph_ELBO()"),
    "wake-sleep": scenario(WAKE_SLEEP, loss="ReweightedWakeSleep(num_particles=3, insomnia=0.5)"),
    "sleep": scenario(
        WAKE_SLEEP,
        loss="ReweightedWakeSleep(insomnia=0.0, model_has_params=False, num_sleep_particles=3)",
    ),
    "renyi": scenario(CONTINUOUS, _BY_HAND, loss="RenyiELBO(alpha=0.5, num_particles=3)"),
    "one-vectorised": scenario(
        CONTINUOUS, _BY_HAND, loss="Trace_ELBO(num_particles=1, vectorize_particles=True)"
    ),
    "tail-adaptive-one": scenario(
        CONTINUOUS, _BY_HAND, loss="TraceTailAdaptive_ELBO(vectorize_particles=True)"
    ),
    "graph-retained": scenario(CONTINUOUS, _BY_HAND, loss="Trace_ELBO(retain_graph=True)"),
    "shape-shifting": scenario(SHAPE_SHIFTING),
    "shape-shifting-looped": scenario(SHAPE_SHIFTING, loss=f"Trace_ELBO({_P2})"),
    "lopsided": scenario(LOPSIDED),
    "lopsided-graph": scenario(LOPSIDED, loss="TraceGraph_ELBO()"),
    "no-parameter": scenario(UNTOUCHED),
    "infinite-loss-on-the-way": scenario(INFINITE),
    "unvalidated": scenario("pyro.enable_validation(False)", CONTINUOUS, _BY_HAND),
    "double": scenario("torch.set_default_dtype(torch.float64)", CONTINUOUS, _BY_HAND, "seed = 5"),
}
