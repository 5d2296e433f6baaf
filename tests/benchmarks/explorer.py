"""The explorer over the fake engine, which has its steps at once.

explorer.py BEHAVIOUR
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tui_elbo.ui import environment

FAKE = Path(__file__).parents[1] / "ui" / "fake_engine.py"

if __name__ == "__main__":
    environment.prepare(os.environ)
    from tui_elbo.ui.app import Options, run

    sys.exit(run("fake", Options([sys.executable, str(FAKE), sys.argv[1]])))
