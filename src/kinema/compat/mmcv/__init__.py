"""`mmcv`, thin over Kinema."""

from kinema.compat.parts.arguments import DictAction
from kinema.compat.parts.bgr_video import VideoReader, frames2video
from kinema.compat.parts.checks import is_list_of, is_seq_of, is_str, is_tuple_of
from kinema.compat.parts.fileio import dump, load
from kinema.compat.parts.images import (
    bgr2gray,
    bgr2rgb,
    gray2bgr,
    gray2rgb,
    imconvert,
    imdenormalize,
    imflip,
    imflip_,
    imfrombytes,
    iminvert,
    imnormalize,
    imnormalize_,
    impad,
    imread,
    imrescale,
    imresize,
    imwrite,
    rescale_size,
    rgb2bgr,
    rgb2gray,
)
from kinema.compat.parts.paths import mkdir_or_exist
from kinema.config import Config, ConfigDict
from kinema.progress import ProgressBar, track_iter_progress, track_parallel_progress, track_progress
from kinema.registry import TRANSFORMS, build_from_cfg
from kinema.transforms import BaseTransform, Compose, to_tensor

__all__ = [
    "TRANSFORMS",
    "BaseTransform",
    "Compose",
    "Config",
    "ConfigDict",
    "DictAction",
    "ProgressBar",
    "VideoReader",
    "__version__",
    "bgr2gray",
    "bgr2rgb",
    "build_from_cfg",
    "dump",
    "frames2video",
    "gray2bgr",
    "gray2rgb",
    "imconvert",
    "imdenormalize",
    "imflip",
    "imflip_",
    "imfrombytes",
    "iminvert",
    "imnormalize",
    "imnormalize_",
    "impad",
    "imread",
    "imrescale",
    "imresize",
    "imwrite",
    "is_list_of",
    "is_seq_of",
    "is_str",
    "is_tuple_of",
    "load",
    "mkdir_or_exist",
    "rescale_size",
    "rgb2bgr",
    "rgb2gray",
    "to_tensor",
    "track_iter_progress",
    "track_parallel_progress",
    "track_progress",
    "version_info",
]

# The OpenMMLab release whose names these are, so that checks of the version in users' code pass.
__version__ = "2.1.0"
version_info = (2, 1, 0)
