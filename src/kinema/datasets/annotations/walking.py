"""Looking for videos in folders: which files count, which folders are left out, and what was skipped."""

import os
import stat
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kinema.errors import AnnotationError
from kinema.printable import plural, printable
from kinema.video.suffixes import has_video_suffix

# Folders that systems, archives and cameras make beside those of a user. Names with a dot in front
# are left out as well.
JUNK_FOLDERS = frozenset(
    {
        *("__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder"),  # macOS
        *("$recycle.bin", "recycler", "recycled", "system volume information"),  # Windows
        *(
            "@eadir",
            "@tmp",
            "@recycle",
            "@recently-snapshot",
            "#recycle",
            "#snapshot",
            "lost+found",
        ),  # Synology, QNAP, Linux
        *("__pycache__", "cvs"),
    }
)
JUNK_FILES = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "folder.jpg"})
_MOST_SUFFIXES = 8  # named in a note

_FolderId = tuple[int, int]  # st_dev, st_ino


@dataclass
class FoundVideos:
    """What lies below a folder.

    Attributes:
        paths: of the videos, relative to the folder, sorted.
        skipped: number of the files that are no videos by their names, by suffix.
        special: pipes, sockets and devices named like videos.
        linked: links to folders that had been seen.
    """

    paths: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    special: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)


def is_junk_folder(name: str) -> bool:
    """Is it hidden, or one of those that systems and archives make?"""
    return name.startswith(".") or name.lower() in JUNK_FOLDERS


def find_videos(folder: Path, *, known: Iterable[_FolderId] = ()) -> FoundVideos:
    """Look for videos below `folder`; hidden files, hidden folders and `JUNK_FOLDERS` are left out.

    A folder may be named like a video. Links are followed, each folder is entered once, so links
    that lead back end the walk. A link to nowhere that is named like a video counts as one: it is
    reported as a broken clip.

    Args:
        folder: where to look.
        known: folders not to enter again, as `folder_id` gives them.

    Raises:
        AnnotationError: a folder cannot be read. Names it.
    """
    videos = FoundVideos()
    for _ in _walk(folder, videos, known):
        pass
    videos.paths.sort()
    return videos


def holds_videos(folder: Path) -> bool:
    """Is there a video below `folder`? Stops in the first folder that has one; raises as `find_videos` does."""
    return any(_walk(folder, FoundVideos(), ()))


def _walk(folder: Path, videos: FoundVideos, known: Iterable[_FolderId]) -> Iterator[bool]:
    """Fill `videos` folder by folder; yields whether it has a video."""
    seen = {*known, folder_id(folder)}
    pending, links = deque([""]), deque[str]()
    while pending or links:
        below = pending.popleft() if pending else links.popleft()  # a folder's own path comes before links to it
        if below:
            identity = folder_id(folder / below)
            if identity in seen:
                videos.linked.append(below.rstrip("/"))
                continue
            seen.add(identity)
        try:
            with os.scandir(folder / below) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if _is_folder(entry):
                        if not is_junk_folder(entry.name):
                            (links if entry.is_symlink() else pending).append(f"{below}{entry.name}/")
                    else:
                        _take_file(videos, entry, below)
        except OSError as error:
            raise AnnotationError(f"{folder / below}: cannot be read: {error.strerror or error}") from error
        yield bool(videos.paths)


def videos_below(folder: Path) -> list[str]:
    """Paths of the videos below `folder`, relative to it, sorted; see `find_videos`."""
    return find_videos(folder).paths


def folder_id(folder: Path) -> _FolderId:
    """What two paths to one folder have in common.

    Raises:
        AnnotationError: the folder is not there.
    """
    try:
        facts = folder.stat()
    except OSError as error:
        raise AnnotationError(f"{folder}: cannot be read: {error.strerror or error}") from error
    return facts.st_dev, facts.st_ino


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def _take_file(videos: FoundVideos, entry: "os.DirEntry[str]", below: str) -> None:
    if entry.name.startswith(".") or entry.name.lower() in JUNK_FILES:
        return
    if not has_video_suffix(entry.name):
        videos.skipped[_suffix_of(entry.name)] += 1
    elif _is_special(entry):
        videos.special.append(f"{below}{entry.name}")
    else:
        videos.paths.append(f"{below}{entry.name}")


def _is_special(entry: "os.DirEntry[str]") -> bool:
    """Is it a pipe, a socket or a device, from which reading may never end?"""
    try:
        return not stat.S_ISREG(entry.stat().st_mode)
    except OSError:  # a link to nowhere: whoever opens it says so
        return False


def _suffix_of(name: str) -> str:
    stem, point, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if stem and point else "no suffix"


def notes_on_skipped(walked: Iterable[FoundVideos]) -> list[str]:
    """A sentence each on the files, pipes and links that were left out."""
    walked = list(walked)
    skipped: Counter[str] = Counter()
    for videos in walked:
        skipped.update(videos.skipped)
    notes = []
    if skipped:
        named = [f"{printable(suffix)} ({count})" for suffix, count in skipped.most_common(_MOST_SUFFIXES)]
        more = ", ..." if len(skipped) > _MOST_SUFFIXES else ""
        notes.append(f"{_files(skipped.total())} skipped, no videos by their names: {', '.join(named)}{more}")
    special = [name for videos in walked for name in videos.special]
    if special:
        notes.append(f"{_files(len(special))} skipped, not regular files but pipes, sockets or devices: {special[0]!r}")
    linked = [name for videos in walked for name in videos.linked]
    if linked:
        notes.append(f"{len(linked)} links to folders skipped that are read already: {linked[0]!r}")
    return notes


def _files(count: int) -> str:
    return plural(count, "file")
