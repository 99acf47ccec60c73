"""Readers of annotations: one function a format."""

from kinema.datasets.annotations.folders import read_class_folders
from kinema.datasets.annotations.labels import check_labels
from kinema.datasets.annotations.lists import read_class_names, read_list
from kinema.datasets.annotations.records import VIDEO_SUFFIXES, Annotations, ClipRecord
from kinema.datasets.annotations.splits import Split, find_splits, has_splits, hold_out, read_split, write_list

__all__ = [
    "VIDEO_SUFFIXES",
    "Annotations",
    "ClipRecord",
    "Split",
    "check_labels",
    "find_splits",
    "has_splits",
    "hold_out",
    "read_class_folders",
    "read_class_names",
    "read_list",
    "read_split",
    "write_list",
]
