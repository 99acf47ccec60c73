"""Readers of annotations: one function a format."""

from kinema.datasets.annotations.formats import FORMATS, read_annotations
from kinema.datasets.annotations.grouping import group_by_pattern, split_by_fractions, split_by_group
from kinema.datasets.annotations.lists import read_list
from kinema.datasets.annotations.records import Annotations, ClipRecord
from kinema.datasets.annotations.something_something import left_right_pairs
from kinema.datasets.annotations.splits import Split, find_splits, read_split, write_list
from kinema.video.suffixes import VIDEO_SUFFIXES

__all__ = [
    "FORMATS",
    "VIDEO_SUFFIXES",
    "Annotations",
    "ClipRecord",
    "Split",
    "find_splits",
    "group_by_pattern",
    "left_right_pairs",
    "read_annotations",
    "read_list",
    "read_split",
    "split_by_fractions",
    "split_by_group",
    "write_list",
]
