"""A script's own loop on the screen: its accounts, where there are any, and why there are none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.ui.driving import Driven, driven
from tui_elbo.ui.keys import KEYS, NAMED


@asynccontextmanager
async def scripted(behaviour: str) -> AsyncIterator[Driven]:
    """A terminal of a script, which nobody ends but itself."""
    async with driven(behaviour) as d:
        await d.ready()
        process = d.explorer.session.connection.engine.process
        yield d
    assert process.wait(30) == 0


async def test_before_the_lens_has_looked_it_is_said_when_it_will():
    async with scripted("late") as d:
        await d.shows("After some steps this line says what moved log p")


async def test_of_minibatches_it_is_said_why_nothing_is_seen():
    async with scripted("minibatches") as d:
        await d.press("2", "n")
        await d.shows("They are [red]minibatches.", "the lens sees nothing")
        await d.press("p")
        await d.shows("change by parameter and site", "they are [red]minibatches.")


async def test_joined_late_the_attribution_is_since_the_first_look():
    async with scripted("late") as d:
        await d.press("9", "n")
        await d.shows("step 9 ", "what moved it ── since step 3", "log p rose")
        await d.press("a", "a", "a")
        await d.shows("what moved it since step 3")


async def test_only_what_a_script_allows_is_offered():
    async with scripted("late") as d:
        await d.press("n")
        await d.shows("step 1 ", "n step", "space run", "until")
        assert not any(word in d.lines()[-1] for word in ("back", "finish", "tune", "restart"))
        names = {command.title for command in d.app.get_system_commands(d.app.screen)}
        for key in (*KEYS, *NAMED):
            if key.needs:
                assert (key.help in names) == (key.needs == "lens")
        await d.press("question_mark")
        await d.shows("take one step", "breakpoint: stop")
        assert "rewind by one step" not in d.text()


async def test_another_training_of_the_script_can_be_shown():
    async with scripted("several") as d:
        await d.press("T")
        await d.shows("trainings of this process", "guide_1", "watched no more", "guide_2", "shown")
        await d.shows("so far", "█▁")
        await d.press("down", "enter")
        await d.until(lambda: d.run.loaded.name == "fake.py #3")
        await d.shows("training 3 (guide_3) stays shown")
        await d.press("j")
        await d.until(lambda: d.run.loaded.name == "fake.py #1")
        await d.press("T", "f")
        await d.until(lambda: d.run.loaded.name == "fake.py #2" and not d.run.trainings.chosen)


async def test_of_one_training_there_is_no_list():
    async with scripted("script") as d:
        await d.press("T")
        await d.shows("no other training is known in this process")
