"""What a user named in the place of annotations, and why a clip of a list may not be where the list says."""

import contextlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from kinema.errors import AnnotationError
from kinema.files import read_bytes
from kinema.video.suffixes import has_video_suffix

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".heic", ".avif"})
_HEAD_BYTES = 4096
_LARGEST_FOLDER = 20_000  # entries, to be looked through for a name that is nearly the same
_EXPECTED = "expected a list of clips, or a folder of class folders"

# What files begin with, and what they are.
_BEGINNINGS = (
    (b"%PDF", "a PDF file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"\x1f\x8b", "packed: unpack it and name the file or folder inside"),
    (b"BZh", "packed: unpack it and name the file or folder inside"),
    (b"7z\xbc\xaf", "packed: unpack it and name the file or folder inside"),
    (b"Rar!", "packed: unpack it and name the file or folder inside"),
    (b"\xfd7zXZ", "packed: unpack it and name the file or folder inside"),
)
_BY_SUFFIX = {
    **dict.fromkeys(IMAGE_SUFFIXES, "an image"),
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), "a spreadsheet: save it as CSV"),
    **dict.fromkeys((".pth", ".pt", ".ckpt", ".safetensors", ".onnx", ".bin"), "a file of weights"),
    **dict.fromkeys((".pkl", ".pickle", ".npz", ".npy", ".mat"), "no text that is read as annotations"),
    **dict.fromkeys((".html", ".htm"), "a web page"),
}


def require_annotations(path: Path) -> None:
    """Name the usual files that are no annotations.

    A video, an image, a web page, a pointer of Git LFS, and folders of models.

    Raises:
        AnnotationError: the file or folder is one of these. Says what it is.
    """
    if (path / "model.safetensors").is_file():
        raise AnnotationError(f"{path}: is a checkpoint of a model, {_EXPECTED}")
    if (path / "checkpoints" / "last").is_file():
        raise AnnotationError(f"{path}: is a work folder of `kinema train`, {_EXPECTED}")
    if not path.is_file():
        return
    try:
        head = read_bytes(path, _HEAD_BYTES)
    except OSError:
        return  # whoever reads it says so
    what = what_it_is(path, head)
    if what is not None:
        raise AnnotationError(f"{path}: is {what}" if ":" in what else f"{path}: is {what}, {_EXPECTED}")


def what_it_is(path: Path, head: bytes) -> str | None:
    """What a file is that is no annotations, by its first bytes and its suffix; None when it may be some."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, not the file itself: `git lfs pull` fetches it"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page, not the file itself: download it again, from the address of the raw file"
    for beginning, what in _BEGINNINGS:
        if head.startswith(beginning):
            return what
    if is_binary(head):
        return "a video" if has_video_suffix(path.name) else _BY_SUFFIX.get(path.suffix.lower())
    return None


def is_binary(head: bytes) -> bool:
    """Is this the beginning of a file that is no text? UTF-16 has its own message."""
    return b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))


def hint_on_missing(name: str, folders: Sequence[Path]) -> str:
    """Why a clip may not be there: what its path has that paths seldom have; "" when nothing strikes.

    Args:
        name: the path as the list has it.
        folders: where it was looked for.
    """
    if "\\" in name:
        slashed = PureWindowsPath(name).as_posix()
        there = None
        with contextlib.suppress(OSError, ValueError):  # too long a name
            there = next((folder for folder in folders if (folder / slashed).exists()), None)
        known = "" if there is None else f", as {slashed!r} is there"
        return f"the path has backslashes, as on Windows: write slashes{known}"
    if name[:1] in "\"'" or name[-1:] in "\"'":
        return "the path has quotes around it: leave them out"
    if name.startswith("~"):
        return "the path begins with ~, which is not replaced in lists: write the folder's name"
    if name.lower().startswith("file:"):
        return "the path is an address: leave out the file://"
    if name[-1:] in ",;|":
        return f"the path ends in {name[-1]!r}: is that a delimiter? Separate path and label by one kind of delimiter"
    for folder in folders:
        alike = _alike(folder / name)
        if alike is not None:
            return f"there is {str(alike)!r}, whose name differs in capital letters or in the form of its accents"
    return ""


def _alike(path: Path) -> Path | None:
    """A file of nearly this name in the same folder."""
    with contextlib.suppress(OSError, ValueError):
        wanted = _plain(path.name)
        for number, entry in enumerate(path.parent.iterdir()):
            if number > _LARGEST_FOLDER:
                return None
            if _plain(entry.name) == wanted:
                return entry
    return None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
