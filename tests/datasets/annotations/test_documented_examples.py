import random
import re
from pathlib import Path

import pytest

from kinema.datasets.annotations import FORMATS, read_annotations
from kinema.errors import AnnotationError

PAGE = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = {
    name: found.groups()
    for name, text in SECTIONS.items()
    if (found := re.search(r"^`(\S+)`:\n\n```\w+\n(.*?)```", text, re.MULTILINE | re.DOTALL))
}


def test_every_format_is_documented_and_most_by_a_file():
    assert set(SECTIONS) == set(FORMATS)
    assert len(EXAMPLES) == 13


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_the_page_is_read(tmp_path, name):
    file, text = EXAMPLES[name]
    (tmp_path / file).write_text(text, encoding="utf-8")
    for clip in ("videos/-aaaaaaaaaa.mp4", "videos/bbbbbbbbbbb.mp4", "clips/one/img_00001.jpg"):
        (tmp_path / clip).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / clip).touch()
    annotations = read_annotations(tmp_path / file)
    assert annotations.format == name
    records = list(annotations)
    assert records
    for record in records:
        assert Path(record.path).stem in text, "the clips of the page, and no others"


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_damaged_file_is_read_or_gives_one_clear_error(tmp_path, name):
    file, text = EXAMPLES[name]
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "bbbbbbbbbbb.mp4").touch()
    rng = random.Random(name)
    pieces = [
        b'"',
        b",",
        b"null",
        b"[]",
        b"{}",
        b"-1",
        b"1e400",
        b"nan",
        b"\n",
        b"\0",
        b"\xff",
        b"9" * 20,
        b"[",
        b"}",
        b"0",
    ]
    messages = []
    for _ in range(60):
        content = bytearray(text.encode())
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(content) + 1)
            content[place : place + rng.randint(0, 9)] = rng.choice(pieces)
        (tmp_path / file).write_bytes(content)
        try:
            list(read_annotations(tmp_path / file, name))
        except AnnotationError as error:
            messages.append(str(error))
    assert len(messages) > 10
    for message in messages:
        assert message.startswith(str(tmp_path / file)), "it names the file"
        assert message.isprintable(), "it is one line"
        assert len(message) < 500 + len(str(tmp_path))
