"""MMPretrain's dataset of images with class labels, which MMAction2's config of OmniSource names."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kinema.arguments import takes_arguments_of
from kinema.datasets import BaseDataset
from kinema.datasets.annotations.lists import read_list
from kinema.datasets.storage.columns import ColumnSamples, LabelColumn, TextColumn
from kinema.errors import AnnotationError

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif")


class ImageNet(BaseDataset):
    """Images with class labels: of a list of `path label` lines, or in a folder with one folder a class.

    A sample, before the pipeline: `img_path`, `gt_label` (a class index), `sample_idx`.

    Args:
        data_root: folder that `ann_file` and `data_prefix` are relative to.
        split: "train", "val" or "test": the folder, and the list `meta/SPLIT.txt` where there is
            one, unless they are given.
        data_prefix: folder of the images, also as `dict(img_path=folder)`.
        ann_file: the list; without one, the folders in the folder of the images, in alphabetical
            order, are the classes.
        metainfo: what is known of the whole set, e.g. `dict(classes=[...])`.
        with_label: False: images without labels, of a list of paths or at any depth of the folder.
        extensions: suffixes of the files that are images.
        classes: names of the classes, or a text file with one name a line.
        **settings: further arguments of `BaseDataset`.

    Raises:
        AnnotationError: the list is missing or wrong, there is no image, or the number of folders
            is not that of the classes.
        ValueError: there is no such split, or nothing says where the images are.
    """

    @takes_arguments_of(BaseDataset)
    def __init__(
        self,
        data_root: str | os.PathLike = "",
        split: Literal["", "train", "val", "test"] = "",
        data_prefix: str | os.PathLike | Mapping[str, Any] = "",
        ann_file: str | os.PathLike = "",
        metainfo: Mapping[str, Any] | None = None,
        *,
        with_label: bool = True,
        extensions: Sequence[str] = SUFFIXES,
        classes: str | Sequence[str] | None = None,
        **settings: Any,
    ) -> None:
        if split not in ("", "train", "val", "test"):
            raise ValueError(f"ImageNet: split must be 'train', 'val' or 'test', got {split!r}")
        if split:
            data_prefix = data_prefix or split
            listed = Path("meta") / f"{split}.txt"
            ann_file = ann_file or (listed if (Path(data_root) / listed).is_file() else "")
        if not (data_root or data_prefix or ann_file):
            raise ValueError("ImageNet: give data_root, data_prefix or ann_file, got none of them")
        self.with_label = with_label and split != "test"  # the labels of ImageNet's test images are not published
        self.extensions = tuple(suffix.lower() for suffix in extensions)
        super().__init__(
            ann_file,
            metainfo={**(metainfo or {}), **({} if classes is None else {"classes": classes})},
            data_root=data_root,
            data_prefix=data_prefix if isinstance(data_prefix, Mapping) else {"img_path": data_prefix},
            **settings,
        )

    def load_data_list(self) -> ColumnSamples:
        folder = self.data_prefix["img_path"]
        paths, labels = self._listed() if self.ann_file else self._of_folder(Path(folder))
        columns: dict[str, Any] = {"img_path": paths.below(folder)}
        return ColumnSamples(columns if labels is None else {**columns, "gt_label": labels})

    def _listed(self) -> tuple[TextColumn, LabelColumn | None]:
        annotations = read_list(self.ann_file, class_names=())
        labels = annotations.labels
        if not self.with_label:
            return annotations.paths, None
        if not labels.counts().all():
            raise AnnotationError(f"{self.ann_file}: expected one 'path label' line an image, got lines without labels")
        return annotations.paths, labels

    def _of_folder(self, folder: Path) -> tuple[TextColumn, LabelColumn | None]:
        if not folder.is_dir():
            raise AnnotationError(f"{folder}: there is no such folder: expected one with a folder of images a class")
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if self.with_label else [""]
        classes = self._metainfo.setdefault("classes", names) if self.with_label else names
        if len(classes) != len(names):
            raise AnnotationError(f"{folder}: has {len(names)} folders of classes, but `classes` are {len(classes)}")
        paths = [[f"{name}/{image}" if name else image for image in self._images_in(folder / name)] for name in names]
        if not any(paths):
            raise AnnotationError(f"{folder}: found no image in it, of the suffixes {', '.join(self.extensions)}")
        column = TextColumn.from_texts(path for of_class in paths for path in of_class)
        counts = [len(of_class) for of_class in paths]
        return column, LabelColumn(np.repeat(np.arange(len(names)), counts)) if self.with_label else None

    def _images_in(self, folder: Path) -> list[str]:
        """Paths below `folder`, sorted as texts."""
        images = (path for path in folder.rglob("*") if path.suffix.lower() in self.extensions and path.is_file())
        return sorted(path.relative_to(folder).as_posix() for path in images)
