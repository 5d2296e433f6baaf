"""`python -m tui_elbo.cli`: the command, where its script is not on the path."""

import sys

from tui_elbo.cli import main

if __name__ == "__main__":
    sys.exit(main())
