"""The plain sentence beside a run that has gone on since the lens has looked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.test_sentences import SCENES
from tui_elbo.model.sentences import choose_sentence
from tui_elbo.ui.panes.sentence import sentence_text


@pytest.mark.parametrize("scene", SCENES)
def test_what_is_said_of_a_step_long_past_names_it_and_is_not_rewritten(scene: str) -> None:
    summary = SCENES[scene][0]
    loaded = SimpleNamespace(capabilities=SimpleNamespace(lens=""))
    session = cast(Any, SimpleNamespace(run=SimpleNamespace(loaded=loaded)))
    start, end = SimpleNamespace(state=0), SimpleNamespace(state=100)
    span = cast(Any, SimpleNamespace(summary=summary, start=start, end=end))
    text = choose_sentence(summary).text
    assert sentence_text(session, span, 110) == text
    assert sentence_text(session, span, 200) == f"Up to step 100: {text}"
    start.state = 7
    assert sentence_text(session, span, 110) == f"From step 7 to 100: {text}"
