"""Checks, paths and timers: the plain functions of mmengine.utils."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from kinema.compat.parts import checks, optimizers, paths, timers, versions


def test_sequences_are_told_by_what_they_hold() -> None:
    assert checks.is_seq_of([1, 2], int)
    assert checks.is_seq_of((1, "a"), (int, str))
    assert not checks.is_seq_of([1, "a"], int)
    assert not checks.is_seq_of(3, int)
    assert checks.is_list_of(["a"], str)
    assert not checks.is_list_of(("a",), str)
    assert checks.is_tuple_of(("a",), str)
    assert checks.is_str("a")
    assert not checks.is_str(b"a")


def test_ntuples_repeat_numbers_and_keep_what_can_be_iterated() -> None:
    assert checks.to_2tuple(3) == (3, 3)
    assert checks.to_3tuple("a") == "a"
    assert checks.to_2tuple([1, 2]) == [1, 2]


def test_lists_are_cut_joined_and_converted() -> None:
    assert checks.slice_list([1, 2, 3], [1, 2]) == [[1], [2, 3]]
    assert checks.slice_list([1, 2, 3, 4], 2) == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="sum of lens and list length does not match: 2 != 3"):
        checks.slice_list([1, 2, 3], [1, 1])
    assert checks.concat_list([[1], [2, 3]]) == [1, 2, 3]
    assert checks.list_cast(["1", "2"], int) == [1, 2]
    assert checks.tuple_cast(["1", "2"], float) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("version", "digits"),
    [
        ("2.1.0", (2, 1, 0, 0, 0, 0)),
        ("1.0.0rc6", (1, 0, 0, 0, -1, 6)),
        ("2.0.0a1", (2, 0, 0, 0, -3, 1)),
        ("1.8.1+cu111", (1, 8, 1, 0, 0, 0)),
        ("v1.2.post1", (1, 2, 0, 0, 1, 1)),
    ],
)
def test_versions_become_numbers(version: str, digits: tuple[int, ...]) -> None:
    assert checks.digit_version(version) == digits


def test_versions_compare_in_the_order_of_their_release() -> None:
    order = ["1.9.0", "2.0.0.dev1", "2.0.0a2", "2.0.0b1", "2.0.0rc1", "2.0.0", "2.0.0.post1", "2.0.1", "10.0.0"]
    assert sorted(order, key=checks.digit_version) == order
    with pytest.raises(ValueError, match="failed to parse version 'new'"):
        checks.digit_version("new")


def test_an_overridden_method_is_told_from_an_inherited_one() -> None:
    class Base:
        def run(self) -> None: ...
        @classmethod
        def make(cls) -> None: ...

    class Same(Base):
        pass

    class Other(Base):
        def run(self) -> None: ...

    assert not checks.is_method_overridden("run", Base, Same)
    assert checks.is_method_overridden("run", Base, Other())


def test_modules_are_imported_from_strings() -> None:
    json = importlib.import_module("json")
    assert checks.import_modules_from_strings("json") is json
    with pytest.warns(UserWarning, match="not_there cannot be imported and is left out"):
        assert checks.import_modules_from_strings(["json", "not_there"], allow_failed_imports=True) == [json, None]
    with pytest.raises(ImportError, match="not_there"):
        checks.import_modules_from_strings("not_there")


def test_folders_are_made_and_files_listed(tmp_path: Path) -> None:
    paths.mkdir_or_exist(tmp_path / "a" / "b")
    paths.mkdir_or_exist(str(tmp_path / "a" / "b"))
    paths.mkdir_or_exist("")
    for name in ("a/b/2.MP4", "a/1.mp4", "0.txt", ".git/3.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(paths.scandir(tmp_path)) == ["0.txt"]
    assert list(paths.scandir(str(tmp_path), ".mp4", recursive=True)) == ["a/1.mp4"]
    assert list(paths.scandir(tmp_path, (".mp4",), recursive=True, case_sensitive=False)) == ["a/1.mp4", "a/b/2.MP4"]
    paths.check_file_exist(tmp_path / "0.txt")
    with pytest.raises(FileNotFoundError, match=r'file ".*none\.txt" does not exist'):
        paths.check_file_exist(tmp_path / "none.txt")
    assert paths.is_filepath(tmp_path)
    assert not paths.is_filepath(3)


def test_a_timer_measures_since_its_start_and_since_it_was_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [5.0]
    monkeypatch.setattr(timers, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    timer = timers.Timer()
    now[0] += 2
    assert timer.is_running
    assert timer.since_start() == 2
    now[0] += 1
    assert (timer.since_last_check(), timer.since_start()) == (1, 3)
    with timers.Timer(print_tmpl="took {:.0f} s"):
        now[0] += 4
    assert capsys.readouterr().out == "took 4 s\n"
    assert timers.check_time("a timer of this test") == 0
    now[0] += 6
    assert timers.check_time("a timer of this test") == 6


def test_a_timer_that_was_not_started_cannot_be_read() -> None:
    timer = timers.Timer(start=False)
    with pytest.raises(timers.TimerError, match="timer is not running"):
        timer.since_start()
    with pytest.raises(timers.TimerError, match="timer is not running"):
        timer.since_last_check()


def test_versions_are_split_into_numbers() -> None:
    assert versions.parse_version_info("1.3.0") == (1, 3, 0)
    assert versions.parse_version_info("2.0.0rc1") == (2, 0, 0, "rc1")
    assert versions.parse_padded_version_info("1.3.0") == (1, 3, 0, 0, 0, 0)
    assert versions.parse_padded_version_info("2.0.0rc1", length=3) == (2, 0, 0, "rc", 1)
    with pytest.raises(ValueError, match="failed to parse the version 'new'"):
        versions.parse_padded_version_info("new")


def test_the_layer_of_a_parameter_is_read_of_its_name() -> None:
    names = ("backbone.cls_token", "backbone.patch_embed.w", "backbone.blocks.3.w", "backbone.norm.w", "cls_head.fc")
    assert [optimizers.get_layer_id(name, 14) for name in names] == [0, 0, 4, 15, 15]
