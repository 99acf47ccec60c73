"""Readers of annotations: one function a format."""

from kinema.datasets.annotations.folders import read_class_folders
from kinema.datasets.annotations.lists import read_class_names, read_list
from kinema.datasets.annotations.records import VIDEO_SUFFIXES, Annotations, ClipRecord

__all__ = ["VIDEO_SUFFIXES", "Annotations", "ClipRecord", "read_class_folders", "read_class_names", "read_list"]
