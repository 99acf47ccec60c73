"""Readers of annotations: one function a format."""

from kinema.datasets.annotations.class_names import check_class_names, read_class_names, write_class_names
from kinema.datasets.annotations.cvat import read_cvat
from kinema.datasets.annotations.delimited import read_csv
from kinema.datasets.annotations.folders import has_splits, read_class_folders
from kinema.datasets.annotations.formats import FORMATS, find_format, read_annotations
from kinema.datasets.annotations.grouping import (
    folds_by_group,
    group_by_column,
    group_by_pattern,
    source_video_of,
    split_by_fractions,
    split_by_group,
)
from kinema.datasets.annotations.json_files import holds_clips, read_json, read_jsonl
from kinema.datasets.annotations.kinetics import read_kinetics
from kinema.datasets.annotations.label_studio import read_label_studio
from kinema.datasets.annotations.labels import check_labels, labels_out_of_range
from kinema.datasets.annotations.layout import find_video_root
from kinema.datasets.annotations.lists import read_list, read_rawframe_list
from kinema.datasets.annotations.merging import join_splits, read_whole
from kinema.datasets.annotations.official_splits import read_hmdb51, read_ucf101
from kinema.datasets.annotations.parquet import read_parquet
from kinema.datasets.annotations.records import Annotations, ClipRecord
from kinema.datasets.annotations.samples import require_lengths, samples_of, settle_classes
from kinema.datasets.annotations.something_something import left_right_pairs, read_something_something
from kinema.datasets.annotations.splits import (
    DataLayout,
    Split,
    describe_splits,
    find_layout,
    find_splits,
    read_split,
    write_list,
)
from kinema.datasets.annotations.tables import COLUMN_NAMES
from kinema.video.suffixes import VIDEO_SUFFIXES

__all__ = [
    "COLUMN_NAMES",
    "FORMATS",
    "VIDEO_SUFFIXES",
    "Annotations",
    "ClipRecord",
    "DataLayout",
    "Split",
    "check_class_names",
    "check_labels",
    "describe_splits",
    "find_format",
    "find_layout",
    "find_splits",
    "find_video_root",
    "folds_by_group",
    "group_by_column",
    "group_by_pattern",
    "has_splits",
    "holds_clips",
    "join_splits",
    "labels_out_of_range",
    "left_right_pairs",
    "read_annotations",
    "read_class_folders",
    "read_class_names",
    "read_csv",
    "read_cvat",
    "read_hmdb51",
    "read_json",
    "read_jsonl",
    "read_kinetics",
    "read_label_studio",
    "read_list",
    "read_parquet",
    "read_rawframe_list",
    "read_something_something",
    "read_split",
    "read_ucf101",
    "read_whole",
    "require_lengths",
    "samples_of",
    "settle_classes",
    "source_video_of",
    "split_by_fractions",
    "split_by_group",
    "write_class_names",
    "write_list",
]
