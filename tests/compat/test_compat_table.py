from pathlib import Path

import pytest

from kinema.compat import table
from kinema.compat.table import Place, read_table


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Read a text as the table."""

    def read_text(text: str) -> dict[str, dict[str, Place | None]]:
        (tmp_path / "names.txt").write_text(text)
        monkeypatch.setattr(table, "TABLE_FILE", tmp_path / "names.txt")
        return read_table.__wrapped__()

    return read_text


def test_a_module_holds_its_names_and_all_of_others(read) -> None:
    text = """# a comment
old.inner
    kinema.config: Config
        Settings=ConfigDict
    not yet: Later Never _private

old.b
    all of: old.inner
    kinema.new: Never
"""
    inner = {
        "Config": Place("kinema.config", "Config"),
        "Settings": Place("kinema.config", "ConfigDict"),
        "Later": None,
        "Never": None,
    }
    private = {"_private": None}
    assert read(text) == {
        "old.inner": inner | private,
        "old.b": {**inner, "Never": Place("kinema.new", "Never")},
        "old": {},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("old\n    kinema.a: X\n    not yet: Y X\n", r"names\.txt:3: old has X twice"),
        ("old\n    all of: gone\n", r"names\.txt: old holds all of gone, which is not in the table"),
    ],
)
def test_a_mistake_in_the_table_is_named(read, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(text)
