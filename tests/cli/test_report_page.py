"""The page of a folder of runs: whole, self-contained, and safe against what names may hold."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tui_elbo.cli import main
from tui_elbo.cli.page import html_page, markdown_page
from tui_elbo.model.comparison import Evaluation, ModelFingerprint
from tui_elbo.model.reduction import Reduction
from tui_elbo.model.run_table import Row
from tui_elbo.model.workspace import FolderContent, WatchedRun

BAD = "<script>alert(1)</script>|`x` & \x1b[31m"


def run(seed: int, name: str, elbo: np.ndarray) -> WatchedRun:
    evaluation = Evaluation(ModelFingerprint({}, {}), "a", elbo[-8:], 0.1)
    row = Row(
        run={"seed": seed, "kind": name},
        step=len(elbo),
        loss=-float(elbo[-1]),
        evaluation=evaluation,
        verdict="stationary",
        seconds=1.0,
        ended="steps",
        note=BAD,
        file="",
    )
    curve = Reduction()
    curve.extend(elbo)
    return WatchedRun(f"seed-{seed}", "ended", row, curve, Reduction())


@pytest.fixture
def content() -> FolderContent:
    rng, steps = np.random.default_rng(0), np.arange(1, 601)
    runs = tuple(
        run(seed, name, -3.0 - place * 50 / steps + rng.normal(size=600) * 0.1)
        for place, name in ((1, BAD), (2, "plain"))
        for seed in (0, 1)
    )
    runs[0].elbo.extend(np.array([np.nan]))
    return FolderContent(BAD, runs, 600, live=False, swept=True)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def svgs(text: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(one) for one in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]


def test_the_html_has_the_table_the_curves_and_the_comparison(content: FolderContent) -> None:
    text = html_page(content, content.runs, [one.row for one in content.runs], None)
    page = Page(text)
    assert page.tags.count("tr") == 5
    assert page.links == []
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text
    assert "\x1b" not in text
    assert "nats better than" in page.text or "are not told apart" in page.text
    (svg,) = svgs(text)
    lines = svg.findall(".//{*}polyline")
    assert len(lines) == 4
    assert len({line.get("stroke") for line in lines}) == 2
    for line in lines:
        numbers = [float(one) for one in re.split("[ ,]", line.get("points", ""))]
        assert np.isfinite(numbers).all()


def test_the_markdown_holds_the_curves_and_no_markup_of_names(content: FolderContent) -> None:
    text = markdown_page(content, content.runs, [one.row for one in content.runs], None)
    assert "<script" not in text.replace("\\<script", "")
    (data,) = re.findall(r"data:image/svg\+xml;base64,([^)]*)", text)
    assert svgs(base64.b64decode(data).decode())
    table = [line for line in text.splitlines() if line.startswith("| ")]
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table}
    assert len(table) == 6
    assert len(cells) == 1


def test_what_is_no_folder_of_runs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path / "none")]) == 2
    assert main(["report", str(tmp_path)]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert "there is no such folder" in found.err
