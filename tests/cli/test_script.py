"""`run --script`: the explorer's stepping keys, without a screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import ran, untimed
from tests.engine.sources import small, write
from tui_elbo.cli.run import KeyPress, parse_keys
from tui_elbo.model.errors import UsageError

DRAWS = "pyro.param('w', torch.ones(2, 3))\npyro.param('big', torch.zeros(30))"


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["64M", "0", "20K"])
def test_rewinding_and_on_prints_the_same_records_again(tmp_path: Path, memory: str) -> None:
    path = str(write(tmp_path, small(guide=DRAWS)))
    _, out, _ = ran("run", path, "--steps", "46", "--json")
    plain = untimed(out)
    words = ("--script", "40n 34N 20n 99N 3n3N46n", "--checkpoint-memory", memory)
    code, out, _ = ran("run", path, *words, "--json")
    assert code == 0
    found = untimed(out)
    steps = [*range(1, 41), *range(7, 27), 1, 2, 3, *range(1, 47)]
    assert [record["step"] for record in found] == steps
    assert found == [plain[step - 1] for step in steps]


@pytest.mark.slow
def test_finish_and_restart_are_keys_too(tmp_path: Path) -> None:
    path = str(write(tmp_path, small(tail="steps = 5\n")))
    code, out, _ = ran("run", path, "--script", "2n r n f", "--json", "--every", "2")
    assert code == 0
    assert [record["step"] for record in untimed(out)] == [2, 1, 2, 4, 5]


def test_a_script_is_keys_with_counts() -> None:
    assert parse_keys("6n 4N\n3n Nf07n") == [
        KeyPress("n", 6), KeyPress("N", 4), KeyPress("n", 3), KeyPress("N", 1), KeyPress("f", 1),
        KeyPress("n", 7),
    ]  # fmt: skip
    assert parse_keys("2nG G(12)")[1:] == [KeyPress("G", 0), KeyPress("G", 12)]
    assert parse_keys("9" * 30 + "n")[0].times == 999_999_999


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least one key"),
        ("6x", "'6x'"),
        ("12", "'12'"),
        ("3f", "'3f'"),
        ("n-4", "'-'"),
        ("G(x)", "G"),
    ],
)
def test_what_is_no_script_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_keys(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--script", "n"), "add --json"),
        (("--script", "n", "--json", "--steps", "4"), "so does --steps"),
        (("--script", "n", "--json", "--until", "4"), "so does --until"),
        (("--script", "q", "--json"), "'q' is no key"),
        (("--checkpoint-memory", "much"), "must be such as 64M"),
        (("--checkpoint-memory", "9999999999G"), "must be at most"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: tuple[str, ...], said: str) -> None:
    code, out, err = ran("run", "no_theta", *words)
    assert (code, out) == (2, "")
    assert said in err
