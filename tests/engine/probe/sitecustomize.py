"""What Python runs as it starts: writes down what a training did, as the program ends.

It is the same with and without watching. The file that `ELBO_TUI_PROBE` names receives digests of
every update of an optimiser and every loss of an SVI, of the param store and of the random states.
A module `stand_ins` on the path is imported first: it may stand for packages that are not there.
"""

import atexit
import hashlib
import importlib.util
import json
import os
import random
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path


def digest(*parts):
    """Of bytes and texts."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else repr(part).encode())
    return found.hexdigest()


class Probe(MetaPathFinder):
    """Hears of losses and updates from the moment at which the script imports what makes them."""

    def __init__(self, path):
        self.path, self.process = Path(path), os.getpid()
        self.losses, self.updates, self.count = [], 0, 0
        self.after = {"torch.optim.optimizer": self.optimizers, "pyro.infer.svi": self.svi}
        sys.meta_path.insert(0, self)
        atexit.register(self.write)

    def find_spec(self, fullname, *_):
        """As `importlib` has it."""
        if fullname not in self.after:
            return None
        act = self.after.pop(fullname)
        spec = importlib.util.find_spec(fullname)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            act(module)

        spec.loader.exec_module = exec_module
        return spec

    def optimizers(self, module):
        """Digest the parameters after each update; programs that do not seed begin alike."""
        random.seed(0)
        sys.modules["torch"].manual_seed(0)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(0)
        module.register_optimizer_step_post_hook(self.updated)

    def updated(self, optimizer, *_):
        if os.getpid() == self.process:
            self.count += 1
            for group in optimizer.param_groups:
                for leaf in group["params"]:
                    # Pyro goes through a set of parameters, in the order of their addresses.
                    self.updates += int(digest(leaf.detach().cpu().flatten().tolist()), 16)

    def svi(self, module):
        """Keep the losses."""
        plain = module.SVI.step

        def step(svi, *args, **kwargs):
            loss = plain(svi, *args, **kwargs)
            self.losses.append(repr(loss))
            return loss

        module.SVI.step = step

    def write(self):
        """The program ends."""
        if os.getpid() != self.process:
            return
        found = {"losses": digest(self.losses), "steps": len(self.losses)}
        found |= {"updates": hex(self.updates), "count": self.count}
        found["random"] = digest(random.getstate())
        if "numpy" in sys.modules:
            found["numpy"] = digest(*(repr(one) for one in sys.modules["numpy"].random.get_state()))
        if "torch" in sys.modules:
            torch = sys.modules["torch"]
            found["torch"] = digest(torch.get_rng_state().numpy().tobytes())
            found["threads"] = torch.get_num_threads()
        if "pyro" in sys.modules:
            store = sys.modules["pyro"].get_param_store()
            known = sorted(store.named_parameters())
            parts = [(name, leaf.detach().cpu().flatten().tolist()) for name, leaf in known]
            found["store"] = digest(parts)
            found["params"] = len(parts)
        self.path.write_text(json.dumps(found))


if os.environ.get("ELBO_TUI_PROBE") and "tui_elbo.cli" not in sys.orig_argv:
    if importlib.util.find_spec("stand_ins"):
        import stand_ins  # noqa: F401
    Probe(os.environ.pop("ELBO_TUI_PROBE"))
