"""`mmengine.dist`, thin over Kinema."""

from kinema.compat.parts.communication import (
    all_gather,
    all_reduce,
    broadcast,
    get_dist_info,
    init_dist,
    is_distributed,
)
from kinema.distributed import (
    barrier,
    get_rank,
    get_world_size,
    is_main_process,
)
from kinema.distributed import (
    gather_objects as all_gather_object,
)
from kinema.distributed import (
    main_process_only as master_only,
)

__all__ = [
    "all_gather",
    "all_gather_object",
    "all_reduce",
    "barrier",
    "broadcast",
    "get_dist_info",
    "get_rank",
    "get_world_size",
    "init_dist",
    "is_distributed",
    "is_main_process",
    "master_only",
]
