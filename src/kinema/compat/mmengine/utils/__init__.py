"""`mmengine.utils`, thin over Kinema."""

from kinema.compat.parts.checks import (
    concat_list,
    digit_version,
    import_modules_from_strings,
    is_list_of,
    is_method_overridden,
    is_seq_of,
    is_str,
    is_tuple_of,
    list_cast,
    slice_list,
    to_1tuple,
    to_2tuple,
    to_3tuple,
    to_4tuple,
    to_ntuple,
    tuple_cast,
)
from kinema.compat.parts.paths import check_file_exist, is_filepath, mkdir_or_exist, scandir
from kinema.compat.parts.timers import Timer, TimerError, check_time
from kinema.progress import ProgressBar, track_iter_progress, track_parallel_progress, track_progress

__all__ = [
    "ProgressBar",
    "Timer",
    "TimerError",
    "check_file_exist",
    "check_time",
    "concat_list",
    "digit_version",
    "import_modules_from_strings",
    "is_filepath",
    "is_list_of",
    "is_method_overridden",
    "is_seq_of",
    "is_str",
    "is_tuple_of",
    "list_cast",
    "mkdir_or_exist",
    "scandir",
    "slice_list",
    "to_1tuple",
    "to_2tuple",
    "to_3tuple",
    "to_4tuple",
    "to_ntuple",
    "track_iter_progress",
    "track_parallel_progress",
    "track_progress",
    "tuple_cast",
]
