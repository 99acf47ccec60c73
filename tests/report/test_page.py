"""Pages that need nothing else."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError

from kinema.evaluation.class_intervals import class_intervals
from kinema.evaluation.functional import confusion_matrix
from kinema.report import Section, SheetClip, Strip, Tile, Version, write_contact_sheet, write_report
from kinema.report.animation import ClipAnimation
from kinema.report.class_table import class_rows
from kinema.report.clip_cards import CardGroup, ClipCard, Line
from kinema.report.confusion import confusion_view
from kinema.report.document import write_page
from kinema.report.plots import Series, line_plot

STRIP = Strip([np.zeros((8, 8, 3), np.uint8)] * 2, "decoded", [0, 1])
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e$\\frac{$ \x1b[31m" + "very_long_name" * 20


def sections(names: list[str], clips: int) -> list[Section]:
    """A report of made scores."""
    generator = np.random.default_rng(0)
    count = len(names)
    labels = np.arange(clips) % count
    predicted = np.where(generator.random(clips) < 0.7, labels, generator.integers(0, count, clips))
    matrix = confusion_matrix(predicted, labels, num_classes=count)
    ends = class_intervals(predicted, labels, range(clips), count)
    picture = ClipAnimation(bytes(15_000), bytes(5_000), 128, 96)
    card = ClipCard(f"{names[0]}/a.mp4", names[0], picture, (Line(names[1], "bad"), Line("is 0.1")))
    return [
        Section(
            "summary",
            "Summary",
            "summary",
            {"tiles": [Tile("top-1", "70 %", "few")], "notices": [names[0]], "facts": {"data": names[0]}},
        ),
        Section(
            "curves",
            "Training",
            "plots",
            {"plots": [line_plot(name, [Series(names[0], [1, 2], [3, 1])], x="epoch") for name in ("Loss", "Rate")]},
        ),
        Section(
            "classes",
            "Classes",
            "classes",
            {
                "rows": class_rows(matrix, names, ends),
                "columns": ("precision", "recall", "F1"),
                "has_mistakes": True,
                "caption": "all",
            },
        ),
        Section("confusion", "Confusions", "confusion", {"view": confusion_view(matrix, names)}),
        Section(
            "clips",
            "Clips",
            "clips",
            {"groups": [CardGroup("Wrong", "", [card] * 36)], "root": names[0], "files": "Files", "wide": False},
        ),
        Section("data", "Data", "problems", {"problems": []}),
        Section("settings", "Settings", "settings", {"facts": {"seed": "0"}, "command": names[0], "config": []}),
    ]


class Reader(HTMLParser):
    """What a page holds, as a browser or a screen reader sees it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of hostile names."""
    path = tmp_path_factory.mktemp("page") / "deep" / "report.html"
    write_report(path, title=HOSTILE, note=HOSTILE, sections=sections([HOSTILE, "run & jump", "<b>"], 60))
    return path.read_text()


def test_a_report_loads_nothing_and_runs_its_own_script_only(hostile: str) -> None:
    reader = Reader(hostile)
    addresses = [value for _, attributes in reader.tags for value in attributes.values() if value and "//" in value]
    assert addresses == []
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)", hostile))
    assert "@import" not in hostile
    (script,) = re.findall(r"<script>(.*?)</script>", hostile, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(meta["content"] for meta in reader.all("meta") if meta.get("http-equiv"))
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    )
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]


def test_hostile_names_are_text(hostile: str) -> None:
    reader = Reader(hostile)
    assert {image["src"][:16] for image in reader.all("img") if image["src"]} == {"data:image/webp;"}
    assert not reader.all("b") or "<b>" not in [tag for tag, _ in reader.tags]
    assert "\u202e" not in hostile
    assert "\x1b" not in hostile
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" in hostile


def test_a_report_can_be_read_without_eyes_and_mouse(hostile: str) -> None:
    reader = Reader(hostile)
    tags = [tag for tag, _ in reader.tags]
    assert [tags.count(name) for name in ("main", "header", "footer", "nav", "h1")] == [1, 1, 1, 1, 1]
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(image.get("alt") for image in reader.all("img"))
    assert all(head.get("scope") for head in reader.all("th"))
    assert tags.count("table") == tags.count("caption")
    assert all(box.get("tabindex") == "0" for box in reader.all("div") if "scroll" in (box.get("class") or ""))
    ids = [attributes["id"] for _, attributes in reader.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    targets = [link["href"] for link in reader.all("a")]
    assert {target[1:] for target in targets if target} <= set(ids)
    named = [value for _, attributes in reader.tags if (value := attributes.get("aria-labelledby"))]
    assert set(named) <= set(ids)
    assert all(attributes.get("aria-label") for _, attributes in reader.tags if attributes.get("role") == "img")
    assert reader.all("html")[0]["lang"] == "en"
    assert "prefers-reduced-motion" in hostile
    assert "prefers-color-scheme: dark" in hostile


def test_four_hundred_classes_fit_into_a_page(tmp_path: Path) -> None:
    names = [f"class number {index} of many" for index in range(400)]
    path = write_report(tmp_path / "report.html", title="a", note="", sections=sections(names, 2000))
    page = path.read_text()
    assert path.stat().st_size < 3_000_000
    assert page.count('<th scope="row">class number') >= 400
    assert 'id="heat"' in page


def test_texts_in_pages_are_text(tmp_path: Path) -> None:
    hostile = "<script>\x1b\u202e\udcb6</script>'\""
    shown = r"&lt;script&gt;\x1b\u202e\xb6&lt;/script&gt;&#39;&#34;"
    clip = SheetClip(hostile, [hostile], hostile, [Version(hostile, hostile, STRIP, [STRIP])], hostile)
    page = write_contact_sheet(
        tmp_path / "a.html", title=hostile, note=hostile, steps=[hostile], clips=[clip]
    ).read_text()
    assert f"<title>{shown}</title>" in page
    assert page.count(shown) == 12
    assert page.count("<script>") == 1  # its own


def test_a_page_that_names_what_it_was_not_given_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError, match="'note' is undefined"):
        write_page(tmp_path / "a.html", "contact_sheet.html", title="a", steps=[], clips=[])
    assert list(tmp_path.iterdir()) == []
