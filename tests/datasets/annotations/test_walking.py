"""Which files of folders are clips: suffixes, links, pipes, what systems leave behind."""

import os
import socket
import sys
from pathlib import Path

import pytest

from kinema.cli.data.sources import find_sources
from kinema.datasets.annotations.folders import read_class_folders
from kinema.datasets.annotations.walking import find_videos
from kinema.errors import AnnotationError
from kinema.video.suffixes import VIDEO_SUFFIXES, has_video_suffix

posix = pytest.mark.skipif(sys.platform == "win32", reason="names and kinds of files that Windows does not have")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def paths(root: Path) -> list[str]:
    return [record.path for record in read_class_folders(root)]


SOME_SUFFIXES = """
mp4 MTS m2ts M2T ts vob ogv mxf dv asf wmv f4v 3gp 3g2 mpeg MPG mpe m1v m2v divx qt amv nut y4m avi mkv webm
mov flv gif rm rmvb wtv mod
tod h264 hevc mjpeg ivf mj2 gxf ogm
"""


@pytest.mark.parametrize("suffix", SOME_SUFFIXES.split())
def test_what_ffmpeg_reads_is_a_clip(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"wave/clip.one.{suffix}")
    assert paths(tmp_path) == [f"wave/clip.one.{suffix}"]
    assert has_video_suffix(f"clip.{suffix}")
    assert find_sources(tmp_path / "wave" / f"clip.one.{suffix}").names == [f"clip.one.{suffix}"]


def test_a_name_without_a_suffix_is_no_video() -> None:
    assert not has_video_suffix("mp4")
    assert not has_video_suffix("day.mp4/clip")
    assert not has_video_suffix("song.ogg")
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in VIDEO_SUFFIXES)


def test_what_was_skipped_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touch(
        tmp_path, "wave/a.mp4", "wave/b.XYZ", "wave/c.xyz", "clap/d.mp4", "clap/readme", "clap/Thumbs.db", "loose.mp4"
    )
    notes = read_class_folders(tmp_path).notes
    assert "3 files skipped, no videos by their names: .xyz (2), no suffix (1)" in notes
    assert len(find_sources(tmp_path).paths) == 3
    assert "3 files skipped, no videos by their names: .xyz (2), no suffix (1)" in capsys.readouterr().err


def test_a_folder_of_other_files_says_what_they_are(tmp_path: Path) -> None:
    touch(tmp_path, "wave/b.xyz", "wave/c.xyz")
    with pytest.raises(AnnotationError, match=r"found no videos below it; 2 files skipped, .*: \.xyz \(2\)"):
        read_class_folders(tmp_path)
    touch(tmp_path, "clap/a.mp4")
    with pytest.raises(AnnotationError, match=r"'wave' holds no videos: .*; 2 files skipped, .*: \.xyz \(2\)"):
        read_class_folders(tmp_path)
    with pytest.raises(AnnotationError, match=r"no videos in this folder or below it .*; 2 files skipped"):
        find_sources(tmp_path / "wave")


@pytest.mark.parametrize(
    "junk",
    ["__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information", ".ipynb_checkpoints", "#recycle"],
)
def test_folders_that_systems_make_are_no_classes(tmp_path: Path, junk: str) -> None:
    touch(tmp_path, "wave/a.mp4", "wave/._a.mp4", "wave/desktop.ini", f"wave/{junk}/b.mp4", f"{junk}/wave/a.mp4")
    found = read_class_folders(tmp_path)
    assert (found.class_names, list(found), found.notes) == (("wave",), [("wave/a.mp4", (0,))], ())
    assert find_videos(tmp_path).paths == ["wave/a.mp4"]


@posix
def test_links_that_lead_back_end_the_walk(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mov", "b/2.mov", "b/deep/3.mov")
    (tmp_path / "a" / "loop.mp4").symlink_to("loop.mp4")  # to itself
    (tmp_path / "a" / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to_a").symlink_to(tmp_path / "a")
    (tmp_path / "b" / "up").symlink_to("..")
    (tmp_path / "b" / "again").symlink_to("deep")
    (tmp_path / "self").symlink_to("self")
    found = read_class_folders(tmp_path)
    # Links to nowhere are broken clips, which whoever reads them names.
    assert [one.path for one in found] == ["a/1.mov", "a/gone.mp4", "a/loop.mp4", "b/2.mov", "b/deep/3.mov"]
    assert found.notes == ("4 links to folders skipped that are read already: 'to_b'",)
    assert find_videos(tmp_path).paths == ["a/1.mov", "a/gone.mp4", "a/loop.mp4", "b/2.mov", "b/deep/3.mov"]


@posix
def test_linked_folders_are_read_once_each(tmp_path: Path) -> None:
    touch(tmp_path, "store/1.mov", "set/clap/2.mov")
    (tmp_path / "set" / "wave").symlink_to(tmp_path / "store")
    assert paths(tmp_path / "set") == ["clap/2.mov", "wave/1.mov"]


@posix
def test_pipes_sockets_and_devices_are_no_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.mov")
    os.mkfifo(tmp_path / "a" / "pipe.mp4")
    (tmp_path / "a" / "zero.mp4").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path / "a")  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.mp4")
        found = read_class_folders(tmp_path)
    assert [one.path for one in found] == ["a/1.mov"]
    assert found.notes == ("3 files skipped, not regular files but pipes, sockets or devices: 'pipe.mp4'",)


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mov", "a/locked/2.mov")
    (tmp_path / "a" / "locked").chmod(0)
    try:
        with pytest.raises(AnnotationError, match=r"locked/?: cannot be read: Permission denied"):
            read_class_folders(tmp_path)
    finally:
        (tmp_path / "a" / "locked").chmod(0o700)


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"absent: cannot be read: No such file"):
        find_videos(tmp_path / "absent")
    touch(tmp_path, "file")
    with pytest.raises(AnnotationError, match=r"file.*: cannot be read: Not a directory"):
        find_videos(tmp_path / "file")


@posix
def test_names_of_folders_that_no_list_can_hold_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "clap\nrun 0/1.mov", "jump/2.mov")
    with pytest.raises(AnnotationError, match=r"the folder 'clap\\nrun 0' has a line break, .*: rename the folder"):
        read_class_folders(tmp_path)
    (tmp_path / "clap\nrun 0").rename(tmp_path / "  ")
    with pytest.raises(AnnotationError, match=r"the folder '  ' has spaces only: rename it"):
        read_class_folders(tmp_path)
    (tmp_path / "  ").rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xb6\xaf"))
    with pytest.raises(AnnotationError, match=r"the folder '\\xb6\\xaf' is not UTF-8: rename it .*convmv"):
        read_class_folders(tmp_path)


@posix
def test_names_of_files_that_no_list_can_hold_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "jump/x.mov 1\n.mov")
    with pytest.raises(
        AnnotationError, match=r"the name 'jump/x\.mov 1\\n\.mov' has a line break, .*: rename the file"
    ):
        read_class_folders(tmp_path)


@posix
def test_spaces_around_the_names_of_folders_are_not_of_the_class(tmp_path: Path) -> None:
    touch(tmp_path, " lead/1.mov", "trail /2.mov", "ok/ 3 .mov")
    found = read_class_folders(tmp_path)
    assert found.class_names == ("lead", "ok", "trail")
    assert list(found) == [(" lead/1.mov", (0,)), ("ok/ 3 .mov", (1,)), ("trail /2.mov", (2,))]
    touch(tmp_path, "lead/4.mov")
    with pytest.raises(AnnotationError, match=r"the folders ' lead' and 'lead' differ in spaces alone: rename one"):
        read_class_folders(tmp_path)
