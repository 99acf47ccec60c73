"""Folders: the folder that a clip lies in names its class."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.layout import LIST_SUFFIXES, split_of_name, training_part, visible_folders
from kinema.datasets.annotations.mistaken import IMAGE_SUFFIXES
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.walking import find_videos, folder_id, holds_videos, notes_on_skipped
from kinema.errors import AnnotationError
from kinema.printable import breaks_lines, printable
from kinema.video.suffixes import has_video_suffix


def read_class_folders(root: str | os.PathLike, *, class_names: Sequence[str] | None = None) -> Annotations:
    """Read `root/class/clip.mp4`: every folder with videos below it is a class, in alphabetical order.

    Where the class folders lie a level deeper (`root/my_clips/class/clip.mp4`), these are read.
    Where every class folder holds nothing but splits (`root/class/train/clip.mp4`,
    `root/class/test/clip.mp4`), the clips belong to these.

    Args:
        root: the folder that holds one folder a class.
        class_names: the classes, when known (from the training split): their order gives the class
            indices.

    Returns:
        The clips, with paths relative to the folder of the class folders.

    Raises:
        AnnotationError: no folder, no videos, a class without videos, a folder that is none of
            `class_names`, or folders of splits, such as `train` and `val`, among which the caller
            has to choose.
    """
    root = Path(root)
    if not root.is_dir():
        raise AnnotationError(
            f"{root}: expected a folder that holds one folder of videos a class; there is no such folder"
        )
    root = root_of_classes(root, class_names or ())
    folders = visible_folders(root)
    _require_no_splits(root, [entry.name for entry in folders if entry.name not in (class_names or ())])
    known = {folder_id(entry) for entry in (root, *folders)}  # no class holds another, or all of them, by a link
    by_folder = {entry.name: find_videos(entry, known=known) for entry in folders}
    by_class = {name: videos.paths for name, videos in by_folder.items()}
    loose = _loose_videos(root)
    if not any(by_class.values()):
        if loose:
            raise AnnotationError(
                f"{root}: its {len(loose)} videos lie in no class folder: sort them into one folder a class "
                f"(such as {root.name}/waving/{loose[0].name}), or name the folder above{_or_list(root)}"
            )
        images = sum(
            videos.skipped[suffix] for videos in (*by_folder.values(), find_videos(root)) for suffix in IMAGE_SUFFIXES
        )
        if images:
            raise AnnotationError(
                f"{root}: holds images and no videos: folders of frames are read from a list of 'folder total_frames"
                " label' lines, by RawframeDataset in a config; a folder becomes a video by ffmpeg -framerate 25 -i"
                " FOLDER/img_%05d.jpg FOLDER.mp4"
            )
        if any(root.glob("*.tar")):
            raise AnnotationError(
                f"{root}: holds tar files of videos, which the dataset ShardDataset reads: these are no class folders"
            )
        raise AnnotationError(
            f"{root}: expected one folder of videos a class (such as {root.name}/waving/clip1.mp4), found no videos"
            " below it" + "".join(f"; {note}" for note in notes_on_skipped(by_folder.values()))
        )
    empty = [name for name, videos in by_class.items() if not videos]
    if empty:
        skipped = "".join(f"; {note}" for note in notes_on_skipped([by_folder[empty[0]]]))
        raise AnnotationError(
            f"{root}: the class folder {empty[0]!r} holds no videos: add some or remove the folder{skipped}"
        )
    class_of = _class_names(root, list(by_class))
    names = tuple(sorted(class_of.values())) if class_names is None else tuple(class_names)
    unknown = sorted(set(class_of.values()) - set(names))
    if unknown:
        raise AnnotationError(
            f"{root}: the folder {unknown[0]!r} is none of the {len(names)} classes: {', '.join(names)}"
        )
    of_splits = all(split_of_name(video.partition("/")[0]) for videos in by_class.values() for video in videos)
    clips = ClipCollector(root, "class-folders")
    for name, videos in by_class.items():
        for video in videos:
            split = split_of_name(video.partition("/")[0]) if of_splits else None
            clips.add(f"{name}/{video}", (class_of[name],), split=split)
    notes = (*_notes(root, by_class, loose, of_splits=of_splits), *notes_on_skipped(by_folder.values()))
    return clips.finish(names, labels_are_names=True, video_root=root, notes=notes)


def root_of_classes(root: Path, class_names: Sequence[str] = ()) -> Path:
    """The folder of the class folders or splits: `root`, or the only folder in it that can be, a level or more deeper.

    Args:
        root: a folder.
        class_names: the classes, when known; a folder of such a name is one.
    """
    while True:
        folders = visible_folders(root)
        if len(folders) != 1 or training_part(root) is not None or _loose_videos(root):
            return root
        (inner,) = folders
        if inner.name in class_names or split_of_name(inner.name) or _loose_videos(inner):
            return root
        if training_part(inner) is None and not any(map(holds_videos, visible_folders(inner))):
            return root
        root = inner


def has_splits(folder: Path) -> bool:
    """Is `folder` a data set with a training part, such as `train.txt` or `train/`, not just class folders?"""
    return training_part(root_of_classes(folder)) is not None


def _loose_videos(folder: Path) -> list[Path]:
    """Videos that lie in the folder itself."""
    entries = [entry for entry in folder.iterdir() if has_video_suffix(entry.name)]
    return sorted(entry for entry in entries if entry.is_file() and not entry.name.startswith("."))


def _require_no_splits(root: Path, names: Sequence[str]) -> None:
    """A folder of splits must not be taken for one of classes."""
    splits = sorted((name for name in names if split_of_name(name)), key=lambda name: split_of_name(name) != "train")
    if not splits:
        return
    if split_of_name(splits[0]) == "train":
        held = "the folders " + " and ".join(map(repr, splits)) if len(splits) > 1 else f"the folder {splits[0]!r}"
        raise AnnotationError(
            f"{root}: holds {held}: name the part, by split='train' or as {root / splits[0]}; where {splits[0]!r} is a"
            " class, rename its folder"
        )
    others = [name for name in names if not split_of_name(name)]
    beside = f"beside {', '.join(map(repr, others[:3]))}{', ...' if len(others) > 3 else ''}" if others else "alone"
    raise AnnotationError(
        f"{root}: holds the folder {splits[0]!r} {beside}, but no 'train': expected {root.name}/train/CLASS/*.mp4 and"
        f" {root.name}/{splits[0]}/CLASS/*.mp4, or one folder a class (where {splits[0]!r} is a class, rename its"
        " folder)"
    )


def _or_list(root: Path) -> str:
    """Names a list that lies beside the videos."""
    lists = sorted(file.name for file in root.iterdir() if file.suffix.lower() in LIST_SUFFIXES)
    return f", or the list of the clips, such as {root / lists[0]}" if lists else ""


def _notes(
    root: Path, by_class: Mapping[str, Sequence[str]], loose: Sequence[Path], *, of_splits: bool
) -> Iterator[str]:
    if loose:
        yield f"{len(loose)} videos in {root} lie in no class folder and are left out, the first is {loose[0].name!r}"
    if of_splits or len(by_class) < 2:
        return
    inner = [{video.rpartition("/")[0] for video in videos} for videos in by_class.values()]
    shared = set.intersection(*inner)
    if len(shared) > 1 and "" not in set.union(*inner):
        names = sorted(shared)
        yield (
            "every class folder holds the folders"
            f" {', '.join(map(repr, names[:3]))}{', ...' if len(names) > 3 else ''}: the class is the outer folder,"
            f" such as {next(iter(by_class))!r}; if it is to be the inner one, swap the two levels"
        )


def _class_names(root: Path, folders: Sequence[str]) -> dict[str, str]:
    """The class that each folder stands for: its name without spaces around it."""
    class_of: dict[str, str] = {}
    folder_of: dict[str, str] = {}
    for folder in folders:
        name = folder.strip()
        if breaks_lines(folder):
            raise AnnotationError(
                f"{root}: the name of the folder {folder!r} has a line break, which no list of classes can hold: rename"
                " the folder"
            )
        if not name:
            raise AnnotationError(
                f"{root}: the name of the folder {folder!r} has spaces only: rename it, it names a class"
            )
        try:
            name.encode()
        except UnicodeEncodeError:
            raise AnnotationError(
                f"{root}: the name of the folder '{printable(folder)}' is not UTF-8: rename it "
                "(such as with `convmv -f gbk -t utf8 -r --notest FOLDER` for names of a Chinese Windows)"
            ) from None
        if folder_of.setdefault(name, folder) != folder:
            raise AnnotationError(
                f"{root}: the names of the folders {folder_of[name]!r} and {folder!r} differ in spaces alone: rename"
                " one, or put them together"
            )
        class_of[folder] = name
    return class_of
