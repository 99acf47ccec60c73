import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kinema.files import (
    open_regular,
    partial_path,
    read_bytes,
    read_text,
    rename_complete,
    sha256_of,
    sync_file,
    sync_folder,
    write_text,
    written_whole,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_and_fail(path: Path) -> None:
    with written_whole(path, "wb") as file:
        file.write(b"half")
        raise RuntimeError("stop")


def _complete_and_rename(path: Path, text: str) -> None:
    partial = path.with_name(".part")
    partial.write_text(text)
    rename_complete(partial, path)


def test_a_written_file_holds_the_text_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "grün\n")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "grün\n"
    assert names_in(tmp_path) == ["a.txt"]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"):
        write_and_fail(path)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_an_error_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_text(tmp_path / "absent" / "a.txt", "text")
    assert caught.value.filename == str(tmp_path / "absent" / "a.txt")


def test_a_kill_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, sys\nfrom kinema.files import written_whole\nwith written_whole(sys.argv[1]) as file:\n   "
        " file.write('x' * 10**6)\n    file.flush()\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.read_text() == "old"


def test_the_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_appending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mode must be 'w' or 'wb', got 'a'"), written_whole(tmp_path / "a", "a"):
        pass


def test_partial_names_differ_and_are_hidden(tmp_path: Path) -> None:
    names = {partial_path(tmp_path / "a.bin").name for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(".a.bin.") and name.endswith(".part") for name in names)
    name = partial_path(tmp_path / "a.mp4", keep_suffix=True).name  # FFmpeg chooses the container by it
    assert name.startswith(".part-")
    assert name.endswith("-a.mp4")


def test_a_complete_file_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"old")
    (tmp_path / ".part").write_bytes(b"new")
    rename_complete(tmp_path / ".part", tmp_path / "a.mp4")
    assert names_in(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"new"


@pytest.mark.parametrize("write", [write_text, _complete_and_rename])
def test_bytes_are_on_the_disk_before_the_name_is_and_the_name_at_the_end(tmp_path: Path, monkeypatch, write) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    synced = []

    def record(descriptor: int) -> None:
        file = Path(f"/dev/fd/{descriptor}").resolve()
        synced.append((file.is_dir(), file.read_text() if file.is_file() else None, path.read_text()))

    monkeypatch.setattr(os, "fsync", record)
    write(path, "new")
    assert synced == [(False, "new", "old"), (True, None, "new")]


def test_syncing_takes_files_and_folders_that_exist_or_not(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "a").write_bytes(b"1")
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/dev/fd/{descriptor}").resolve()))
    sync_file(tmp_path / "a")
    sync_folder(tmp_path)
    sync_folder(tmp_path / "not there")
    assert synced == [(tmp_path / "a").resolve(), tmp_path.resolve()]


def test_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("grün\r\n".encode())
    (tmp_path / "link").symlink_to("a.txt")
    assert read_text(tmp_path / "link") == "grün\r\n"
    assert read_bytes(tmp_path / "a.txt", 2) == b"gr"
    with open_regular(str(tmp_path / "a.txt")) as file:
        assert file.read() == "grün\r\n".encode()


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No such file"):
        read_bytes(tmp_path / "absent")
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        read_bytes(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        read_bytes(tmp_path / "loop")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_pipes_and_devices_are_never_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), ("/dev/zero", "a device")):
        with pytest.raises(OSError, match=f"is {kind}, expected a regular file"):
            read_bytes(path)


def test_the_sha256_of_a_file_is_that_of_its_bytes(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
