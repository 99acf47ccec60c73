import numpy as np
import pytest
from jinja2 import UndefinedError

from kinema.report import SheetClip, ShownClip, Strip, Version, plots, write_contact_sheet, write_report
from kinema.report.document import write_page

STRIP = Strip([np.zeros((8, 8, 3), np.uint8)] * 2, "decoded", [0, 1])
HISTORY = [
    {"step": 2, "epoch": 1, "split": "train", "loss": 1.5},
    {"step": 4, "epoch": 1, "split": "train", "loss": None},
    {"step": 4, "epoch": 1, "split": "val", "acc/top1": 0.5},
]


def test_a_report_is_one_page_that_needs_nothing_else(tmp_path, make_video):
    clips = [ShownClip(make_video(), "run & jump", "run & jump", 0.9), ShownClip(make_video(), "sit", "<b>", 0.4)]
    page = write_report(
        tmp_path / "deep" / "report.html",
        title="My run",
        note="a note",
        numbers={"top-1": "50 %"},
        history=HISTORY,
        metric="acc/top1",
        confusion=np.array([[1, 0], [1, 0]]),
        class_names=["run & jump", "sit"],
        clips=clips,
    ).read_text()
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://matplotlib.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")
    assert "run &amp; jump" in page
    assert "<b>" not in page.split("<h2>Unseen clips")[1]
    assert page.count('class="wrong"') == 1
    assert page.count("data:video/mp4;base64,") == 2


def test_large_confusion_matrices_are_drawn_without_numbers():
    names = [f"class {index}" for index in range(31)]
    assert "<svg" in plots.confusion(np.eye(31, dtype=int), names)


def test_curves_can_be_drawn_of_an_empty_history():
    assert plots.curves([], "acc/top1").startswith("<svg")


@pytest.mark.parametrize("name", ["$\\frac{$", "$x$", "\x1b[31mred\n", "\udcb6\udcaf", "a & <b>"])
def test_names_in_plots_are_drawn_as_they_are(name):
    assert "\x1b" not in plots.confusion(np.eye(2, dtype=int), [name, "sit"])
    assert "\x1b" not in plots.curves(HISTORY, name)


def test_texts_in_pages_are_text(tmp_path):
    hostile = "<script>\x1b\u202e\udcb6</script>'\""
    shown = r"&lt;script&gt;\x1b\u202e\xb6&lt;/script&gt;&#39;&#34;"
    clip = SheetClip(hostile, [hostile], hostile, [Version(hostile, hostile, STRIP, [STRIP])], hostile)
    page = write_contact_sheet(
        tmp_path / "a.html", title=hostile, note=hostile, steps=[hostile], clips=[clip]
    ).read_text()
    assert f"<title>{shown}</title>" in page
    assert page.count(shown) == 12
    assert page.count("<script>") == 1  # its own


def test_a_page_that_names_what_it_was_not_given_is_an_error(tmp_path):
    with pytest.raises(UndefinedError, match="'note' is undefined"):
        write_page(tmp_path / "a.html", "contact_sheet.html", title="a", steps=[], clips=[])
    assert list(tmp_path.iterdir()) == []
