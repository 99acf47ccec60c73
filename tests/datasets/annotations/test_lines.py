import random
import re

import numpy as np
import pytest

from kinema.datasets.annotations import lines, read_list
from kinema.datasets.annotations.lists import read_rawframe_list
from kinema.errors import AnnotationError


def slow_list(text: str, delimiter: str | None, several: bool) -> list[tuple[str, tuple[int, ...]]]:
    """The definition, a line at a time."""
    space = r"[ \t\r\v\f]"
    between = rf"{space}+" if delimiter is None else rf"{space}*{re.escape(delimiter)}{space}*"
    records = []
    for line in text.split("\n"):
        line = line.strip(" \t\r\v\f")
        if not line or line.startswith("#"):
            continue
        labels = []
        while not labels or several:
            found = re.fullmatch(rf"(.*[^ \t\r\v\f]){between}(-?[0-9]{{1,18}})", line)
            if not found:
                break
            line = found[1]
            labels.insert(0, int(found[2]))
        records.append((line, tuple(labels)))
    return records


def random_text(rng: random.Random, delimiter: str | None) -> str:
    def word() -> str:
        return "".join(rng.choices("ab1 2-.é/" + (delimiter or ""), k=rng.randint(1, 8)))

    def line() -> str:
        path = rng.choice(["a.mp4", "b c.mp4", f"x{word()}", f"{word()}y", "clip 7", "ü/ß.avi"])
        labels = [str(rng.choice([0, 1, 7, 42, -1, 123456])) for _ in range(rng.randint(1, 3))]
        gap = (
            f"{rng.choice(['', ' '])}{delimiter}{rng.choice(['', ' '])}" if delimiter else rng.choice([" ", "\t", "  "])
        )
        return rng.choice(["", " "]) + gap.join([path, *labels]) + rng.choice(["", " ", "\r", " \r"])

    return "\n".join(rng.choice([line, line, line, lambda: "", lambda: "# note 3"])() for _ in range(40)) + rng.choice(
        ["", "\n"]
    )


@pytest.mark.parametrize("delimiter", [None, ",", ";"])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("block_bytes", [64, 1 << 22])
def test_lists_are_read_as_by_a_slow_reader(tmp_path, monkeypatch, delimiter, several, block_bytes):
    monkeypatch.setattr(lines, "BLOCK_BYTES", block_bytes)
    rng = random.Random(5)
    for _ in range(15):
        text = random_text(rng, delimiter)
        expected = slow_list(text, delimiter, several)
        if not expected or not all(labels for _, labels in expected):
            continue
        file = tmp_path / "list.txt"
        file.write_bytes(text.encode())
        assert list(read_list(file, delimiter=delimiter or " ", multi_label=several)) == expected


def test_lines_are_counted_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK_BYTES", 64)
    file = tmp_path / "list.txt"
    file.write_text("\n# a\n" + "".join(f"{'x' * (number % 50)}{number}.mp4 {number}\n\n" for number in range(300)))
    found = read_list(file)
    assert found.lines.tolist() == [3 + 2 * number for number in range(300)]
    assert found.labels.values.tolist() == list(range(300))


def test_a_very_long_line_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1 << 12)
    file = tmp_path / "list.txt"
    file.write_text("a 1\n" + "b" * 20000 + " 2\nc 3\n")
    assert [(len(path), labels) for path, labels in read_list(file)] == [(1, (1,)), (20000, (2,)), (1, (3,))]


@pytest.mark.parametrize(
    "content", [b"a.mp4 0\r\nb c.mp4 1\r\n", b"\xef\xbb\xbfa.mp4 0\nb c.mp4 1", b"a.mp4 0\rb c.mp4 1\r"]
)
def test_marks_and_line_ends_of_other_systems_are_understood(tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    found = read_list(tmp_path / "list.txt")
    assert list(found) == [("a.mp4", (0,)), ("b c.mp4", (1,))]
    assert found.lines.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a.mp4 0\n".encode("utf-16"),
            r"list\.txt: expected one 'path label' line a clip in UTF-8, got UTF-16 text: save it",
        ),
        (
            b"a.mp4 0\nb.mp4 1\n\xfcber.mp4 2\n",
            r"list\.txt:3: expected a text file with .*, got bytes that are no UTF-8 text",
        ),
        (b"a.mp4 0\nb\0.mp4 1\n", r"list\.txt:2: expected a text file .* got a zero byte: is it a binary file\?"),
        (b"", r"list\.txt: the list is empty: expected one 'path label' line a clip"),
        (b"\xef\xbb\xbf\n\n", r"list\.txt: the list is empty"),
    ],
)
def test_what_is_no_list_is_told(tmp_path, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(AnnotationError, match=message):
        read_list(tmp_path / "list.txt")


@pytest.mark.parametrize("delimiter", ["", "::", "é"])
@pytest.mark.parametrize("read", [read_list, read_rawframe_list])
def test_a_delimiter_is_one_character(tmp_path, read, delimiter):
    (tmp_path / "list.txt").write_text("a 1 1\n")
    with pytest.raises(ValueError, match="must be one ASCII character, got"):
        read(tmp_path / "list.txt", delimiter=delimiter)


def test_large_numbers_are_kept_and_still_larger_ones_are_no_labels(tmp_path):
    (tmp_path / "list.txt").write_text("a.mp4 123456789012345678\n")
    assert read_list(tmp_path / "list.txt")[0].labels == (123456789012345678,)
    (tmp_path / "list.txt").write_text("a.mp4 1\nb.mp4 1234567890123456789\n")
    with pytest.raises(AnnotationError, match=r"list\.txt:2: expected 'path label' with a whole-number label"):
        read_list(tmp_path / "list.txt")


def test_the_labels_of_a_subset_are_those_of_its_clips(tmp_path):
    (tmp_path / "list.txt").write_text("a 1 2\nb 3\nc 4 5 6\n")
    found = read_list(tmp_path / "list.txt", multi_label=True)
    some = found.take(np.array([2, 0, 2]))
    assert list(some) == [("c", (4, 5, 6)), ("a", (1, 2)), ("c", (4, 5, 6))]
    assert some.place_of(1).endswith("list.txt:1")
