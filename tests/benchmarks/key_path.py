"""Which of our files and functions run between a press of `n` and its paint, in both processes.

Run as `python -m tests.benchmarks.key_path [SCENARIO]`: it prints each file with its functions, and
the sums. The engine runs under a profile too, in which two signals mark where the press begins and
where the paint is done.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType

import tui_elbo

ROOT = Path(tui_elbo.__file__).parent
SIZE = 80, 24
WARM = 3
"""Steps taken before, so that what happens only once does not count."""


class Calls:
    """The code objects of ours that were called since the last `clear`."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()

    def install(self) -> None:
        """Collect the calls of every thread from now on."""
        threading.setprofile(self._called)
        sys.setprofile(self._called)

    def _called(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(ROOT)):
            self.codes.add(frame.f_code)

    def lines(self) -> list[str]:
        """`file function`, one a line, sorted."""
        found = {(Path(code.co_filename).relative_to(ROOT), code) for code in self.codes}
        return sorted({f"{path} {code.co_qualname}" for path, code in found})


def profiled_engine(output: Path) -> None:
    """Be an engine: SIGUSR1 begins to count, SIGUSR2 writes what was called since."""
    calls = Calls()
    signal.signal(signal.SIGUSR1, lambda *_: calls.codes.clear())
    signal.signal(signal.SIGUSR2, lambda *_: write_whole(output, "\n".join(calls.lines())))
    calls.install()
    runpy.run_module("tui_elbo.engine", run_name="__main__", alter_sys=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is seen whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(text, "utf-8")
    part.replace(path)


async def pressed(scenario: str, output: Path) -> tuple[list[str], list[str]]:
    """What one press of `n` calls in the terminal and in the engine."""
    from tui_elbo.client.session import Options
    from tui_elbo.ui.app import ElboApp
    from tui_elbo.ui.widgets.status import StatusLine

    calls = Calls()
    argv = [sys.executable, "-m", __spec__.name, "--engine", str(output)]
    app = ElboApp(scenario, Options(argv))
    async with app.run_test(size=SIZE) as pilot:
        explorer = app.screen

        async def shown(step: int) -> None:
            while f"step {step} " not in line() or explorer.session.commands.running:
                await pilot.pause(0.02)

        def line() -> str:
            y = explorer.query_one(StatusLine).region.y
            return app.screen._compositor.render_strips()[y].text

        while explorer.session.run.loaded is None:
            await pilot.pause(0.05)
        for step in range(1, WARM + 1):
            await pilot.press("n")
            await shown(step)
            await pilot.pause(1.0)
        engine = explorer.session.connection.engine.process.pid
        os.kill(engine, signal.SIGUSR1)
        await pilot.pause(0.5)
        calls.install()
        await pilot.press("n")
        await shown(WARM + 1)
        sys.setprofile(None)
        os.kill(engine, signal.SIGUSR2)
        while not output.exists():
            await pilot.pause(0.05)
        explorer.session.end()
    return calls.lines(), output.read_text("utf-8").splitlines()


def report(name: str, lines: list[str]) -> None:
    """Print each file with its functions."""
    files = defaultdict(list)
    for line in lines:
        file, _, function = line.partition(" ")
        files[file].append(function)
    print(f"{name}: {len(files)} files, {len(lines)} functions")
    for file, functions in sorted(files.items()):
        print(f"  {file} ({len(functions)}): {', '.join(functions)}")


def main() -> None:
    """Count, and print."""
    if sys.argv[1:2] == ["--engine"]:
        output = Path(sys.argv.pop(2))
        del sys.argv[1]
        profiled_engine(output)
        return
    scenario = sys.argv[1] if len(sys.argv) > 1 else "no_theta"
    with tempfile.TemporaryDirectory() as folder:
        terminal, engine = asyncio.run(pressed(scenario, Path(folder) / "calls"))
    report("terminal", terminal)
    report("engine", engine)
    both = {*terminal, *engine}
    print(f"both: {len({line.split()[0] for line in both})} files, {len(both)} functions")


if __name__ == "__main__":
    main()
