"""installed_backends tells which decoders load, and why others do not."""

import sys
from pathlib import Path

import pytest

from kinema.video import installed_backends


def test_the_decoders_that_kinema_needs_load() -> None:
    found = installed_backends()
    assert list(found) == ["pyav", "opencv", "torchcodec", "decord"]
    assert found["pyav"] is None
    assert found["opencv"] is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", None),
        (
            "raise OSError('libavutil.so.59: cannot open shared object file\\nmore')",
            "OSError: libavutil.so.59: cannot open",
        ),
        ("raise RuntimeError", "RuntimeError: no message"),
        ("import a_library_that_is_not_there", "needs a_library_that_is_not_there, which is not installed"),
        ("from os import nothing_of_that_name", "ImportError: cannot import name 'nothing_of_that_name'"),
        ("__kinema__ = True", "hidden by Kinema's own module of that name"),
    ],
)
def test_the_reason_why_a_library_does_not_load_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str | None
) -> None:
    (tmp_path / "decord.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "decord", raising=False)
    found = installed_backends()["decord"]
    monkeypatch.delitem(sys.modules, "decord", raising=False)
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(reason)
        assert "\n" not in found


def test_a_library_that_is_not_there_is_said_to_be_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "decord", raising=False)
    assert installed_backends()["decord"] == "not installed"
