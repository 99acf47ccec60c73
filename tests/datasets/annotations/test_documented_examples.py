import re
from pathlib import Path

import pytest

from kinema.datasets.annotations import FORMATS, read_annotations

PAGE = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = {
    name: found.groups()
    for name, text in SECTIONS.items()
    if (found := re.search(r"^`(\S+)`:\n\n```\w+\n(.*?)```", text, re.MULTILINE | re.DOTALL))
}


def test_every_format_is_documented_and_most_by_a_file():
    assert set(SECTIONS) == set(FORMATS)
    assert len(EXAMPLES) == 9


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_the_page_is_read(tmp_path, name):
    file, text = EXAMPLES[name]
    (tmp_path / file).write_text(text, encoding="utf-8")
    for clip in ("videos/-aaaaaaaaaa.mp4", "videos/bbbbbbbbbbb.mp4", "clips/one/img_00001.jpg"):
        (tmp_path / clip).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / clip).touch()
    found = read_annotations(tmp_path / file)
    assert found.format == name
    assert len(found) >= 1
