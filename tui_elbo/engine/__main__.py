"""`python -m tui_elbo.engine FD`: the engine on the socket that the terminal has passed on."""

import sys

from tui_elbo.engine.server import serve

if __name__ == "__main__":
    serve(int(sys.argv[1]))
