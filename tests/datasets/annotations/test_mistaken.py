"""Files in the place of annotations, and clips that are not where a list says."""

import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from kinema.cli.data.sources import find_sources
from kinema.datasets.annotations import find_splits
from kinema.datasets.annotations.folders import read_class_folders
from kinema.datasets.annotations.formats import find_format
from kinema.errors import AnnotationError

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mp4", None, "is a video, expected a list of clips, or a folder of class folders"),
        ("a.MTS", b"G\0\0", "is a video, expected a list"),
        ("a.jpg", "image", "is an image, expected a list"),
        ("a", "image", "is an image, expected a list"),
        ("train.txt", LFS, "is a pointer of Git LFS, not the file itself: `git lfs pull` fetches it"),
        ("train.csv", LFS, "is a pointer of Git LFS"),
        ("train.json", LFS, "is a pointer of Git LFS"),
        (
            "train.csv",
            b"\n<!DOCTYPE html><html><title>404</title></html>",
            "is a web page, not the file itself: download it again",
        ),
        ("train.txt", b"\xef\xbb\xbf<HTML>", "is a web page"),
        ("table.xlsx", b"PK\3\4\0\0", "is a spreadsheet: save it as CSV"),
        ("best.pth", b"PK\3\4\0\0", "is a file of weights, expected a list"),
        ("a.pkl", b"\x80\4\0\0", "is no text that is read as annotations, expected a list"),
        ("a.txt.gz", b"\x1f\x8b\0", "is packed: unpack it"),
        ("a.pdf", b"%PDF-1.4", "is a PDF file, expected a list"),
    ],
)
def test_other_files_are_named_as_what_they_are(tmp_path: Path, make_video, name: str, content, message: str) -> None:
    path = tmp_path / name
    if content is None:
        make_video(path)
    elif content == "image":
        path.write_bytes(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    else:
        path.write_bytes(content)
    for read in (find_format, find_splits):
        with pytest.raises(AnnotationError, match=f"{name}: {message}"):
            read(path)


def test_folders_of_images_say_what_reads_them(tmp_path: Path) -> None:
    for name in ("wave/1/img_00001.jpg", "wave/1/img_00002.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for folder in (tmp_path, tmp_path / "wave", tmp_path / "wave" / "1"):
        with pytest.raises(AnnotationError, match="holds images and no videos: folders of frames are read from a list"):
            read_class_folders(folder)


def test_a_video_without_a_suffix_is_a_video(tmp_path: Path, make_video) -> None:
    (tmp_path / "3f2a9c").write_bytes(make_video().read_bytes())
    assert find_sources(tmp_path / "3f2a9c").names == ["3f2a9c"]
    (tmp_path / "list").write_text("3f2a9c 0\n")
    assert find_sources(tmp_path / "list").names == ["3f2a9c"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("videos\\a.mp4 0", r"the path has backslashes, as on Windows: write slashes, as 'videos/a\.mp4' is there"),
        ("C:\\clips\\a.mp4 0", "the path has backslashes, as on Windows: write slashes$"),
        ('"videos/b.mp4 0', "the path has quotes around it: leave them out"),
        ("'videos/b.mp4' 0", "clip 'videos/b.mp4' is not there"),
        ("~/videos/b.mp4 0", "begins with ~, which is not replaced in lists"),
        ("file:///videos/b.mp4 0", "the path is an address: leave out the file://"),
        ("videos/a.mp4, x 0", "is not there"),
        ("videos/a.mp4|; 0", r"the path ends in '\|': is that a delimiter"),
        ("videos/A.MP4 0", r"there is '.*videos/a\.mp4', whose name differs in capital letters"),
        (
            unicodedata.normalize("NFD", "videos/\u00e9.mp4 0"),
            "whose name differs in capital letters or in the form of its accents",
        ),
    ],
)
def test_a_clip_that_is_not_there_has_a_hint(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    (tmp_path / "videos" / "\u00e9.mp4").touch()
    (tmp_path / "list.txt").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match=message):
        find_splits(tmp_path / "list.txt")


def test_folders_of_models_are_no_annotations(tmp_path):
    (tmp_path / "work" / "checkpoints" / "step_00000001").mkdir(parents=True)
    (tmp_path / "work" / "checkpoints" / "step_00000001" / "model.safetensors").touch()
    (tmp_path / "work" / "checkpoints" / "last").write_text("step_00000001\n")
    with pytest.raises(AnnotationError, match="work: is a work folder of `kinema train`, expected a list of clips"):
        find_splits(tmp_path / "work")
    with pytest.raises(AnnotationError, match="step_00000001: is a checkpoint of a model, expected a list of clips"):
        find_splits(tmp_path / "work" / "checkpoints" / "step_00000001")
