"""`python -m tui_elbo.engine [--linger SECONDS] FD [OUTPUT]`: the engine of a terminal.

FD is the socket that the terminal has passed on; OUTPUT the read end of our own stdout.
"""

import argparse

from tui_elbo.engine.server.process import IDLE_TIMEOUT, serve

if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--linger", type=float, default=IDLE_TIMEOUT)
    options.add_argument("fd", type=int)
    options.add_argument("output", type=int, nargs="?", default=-1)
    chosen = options.parse_args()
    serve(chosen.fd, chosen.output, chosen.linger)
