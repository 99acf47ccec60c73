"""Keywords that did something in OpenMMLab's parts and need nothing in Kinema's.

They are no arguments of Kinema's parts. The decorator `accepts_openmmlab_keywords` takes them off a
call, whether they are passed by keyword or by position, in a config or in code, and logs once what
it took off. The arguments that follow such a keyword in OpenMMLab's order are shown as
keyword-only; calls by position in that order work all the same.
"""

import functools
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

logger = logging.getLogger("kinema")

Part = TypeVar("Part", bound=Callable[..., Any])


@dataclass(frozen=True)
class Needless:
    """A keyword without effect.

    Attributes:
        reason: why nothing is needed.
        place: its number among the positional arguments of OpenMMLab's part, from 0 and without
            `self`; None: it is passed by keyword only.
    """

    reason: str
    place: int | None = None


# Part -> keyword -> why and where.
_GATHERED = "results are gathered as Python objects"
_AS_PUBLISHED = "it had none there either"
_TORCHVISION = "names of torchvision's weights are recognised"
_IS_2D = "the weights of a network over frames are always 2D"
_OF_TSM = "it belongs to ResNetTSM"
_LOCAL = "files are local"
_BY_CLIP = "the tokens of a clip are always in one row"
_OWN_FOLDER = "the files of a run are in its work folder"
NEEDLESS: dict[str, dict[str, Needless]] = {
    "DenseSampleFrames": {
        "twice_sample": Needless(_AS_PUBLISHED, 4),
        "keep_tail_frames": Needless(_AS_PUBLISHED, 7),
        "target_fps": Needless(_AS_PUBLISHED, 8),
    },
    "build_dataloader": {
        "diff_rank_seed": Needless("a sample's random numbers never depend on the rank", 2),
    },
    "BaseMetric": {"collect_device": Needless(_GATHERED, 0), "collect_dir": Needless(_GATHERED, 2)},
    "AccMetric": {"collect_device": Needless(_GATHERED, 1)},
    "ConfusionMatrix": {"collect_device": Needless(_GATHERED, 1)},
    "DumpResults": {"collect_device": Needless(_GATHERED, 1), "collect_dir": Needless(_GATHERED, 2)},
    "ConvModule": {
        "efficient_conv_bn_eval": Needless("the norm goes into the convolution by itself where that is faster", 15)
    },
    "TAM": {"init_std": Needless(_AS_PUBLISHED, 8)},
    "ResNet": {"torchvision_pretrain": Needless(_TORCHVISION, 2)},
    "DividedTemporalAttentionWithNorm": {"batch_first": Needless(_BY_CLIP)},
    "DividedSpatialAttentionWithNorm": {"batch_first": Needless(_BY_CLIP)},
    "C3D": {"style": Needless("its convolutions have no stride to place", 1)},
    "X3D": {"use_swish": Needless("a Swish follows the middle convolutions, as in the published networks", 10)},
    "C2D": {"torchvision_pretrain": Needless(_TORCHVISION, 2)},
    "TANet": {"torchvision_pretrain": Needless(_TORCHVISION)},
    "ResNetTSM": {"torchvision_pretrain": Needless(_TORCHVISION), "pretrained2d": Needless(_IS_2D, 8)},
    "ResNetTIN": {
        "torchvision_pretrain": Needless(_TORCHVISION),
        "pretrained2d": Needless(_IS_2D),
        "is_shift": Needless(_OF_TSM),
        "shift_place": Needless(_OF_TSM),
        "temporal_pool": Needless(_OF_TSM),
    },
    "MobileNetV2TSM": {"pretrained2d": Needless(_IS_2D, 3)},
    "MobileOneTSM": {"pretrained2d": Needless(_IS_2D, 4)},
    "CheckpointHook": {
        "file_client_args": Needless(_LOCAL),
        "backend_args": Needless(_LOCAL),
        "greater_keys": Needless("rule says what is better"),
        "less_keys": Needless("rule says what is better"),
    },
    "LoggerHook": {
        "ignore_last": Needless("the last batches of an epoch are always reported"),
        "interval_exp_name": Needless("the name stands in summary.json"),
        "out_dir": Needless(_OWN_FOLDER),
        "out_suffix": Needless(_OWN_FOLDER),
        "keep_local": Needless(_OWN_FOLDER),
        "file_client_args": Needless(_OWN_FOLDER),
        "backend_args": Needless(_OWN_FOLDER),
        "log_metric_by_epoch": Needless("metrics.jsonl has both, epoch and step"),
    },
    "EMAHook": {
        "strict_load": Needless("averages are always loaded whole", 1),
        "evaluate_on_ema": Needless("evaluations use the averages"),
        "evaluate_on_origin": Needless("evaluations use the averages"),
    },
}

_logged: set[tuple[str, str]] = set()


def accepts_openmmlab_keywords(part: Part) -> Part:
    """Let a class or function accept the keywords of `NEEDLESS`; its signature does not show them.

    Of a class the constructor is wrapped, so that a subclass may pass them to `super().__init__`.
    """
    name = part.__name__
    if isinstance(part, type):
        part.__init__ = _accepting(part.__init__, name, offset=1)  # type: ignore[misc]
        return part
    return _accepting(part, name, offset=0)


def needless_keywords(part: Any) -> Mapping[str, Needless]:
    """The keywords that a part takes without showing them in its signature."""
    function = part.__init__ if inspect.isclass(part) else part
    needless: Mapping[str, Needless] = getattr(function, "needless_keywords", {})
    return needless


def _accepting(function: Any, name: str, offset: int) -> Any:
    needless = NEEDLESS[name]
    signature = inspect.signature(function)
    order = list(signature.parameters)  # of OpenMMLab's arguments
    places = {item.place + offset: keyword for keyword, item in needless.items() if item.place is not None}
    for place in sorted(places):
        order.insert(place, places[place])
    start = min(places, default=len(order))  # from here on calls by position mean OpenMMLab's order

    shown = [
        item.replace(kind=item.KEYWORD_ONLY) if place >= start and item.kind is item.POSITIONAL_OR_KEYWORD else item
        for place, item in enumerate(signature.parameters.values())
    ]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > len(order):
            return function(*args, **kwargs)  # which says how many it takes
        by_place = dict(zip(order[start:], args[start:], strict=False))
        if taken := [keyword for keyword in needless if keyword in by_place or keyword in kwargs]:
            log_needless(name, taken)
        by_place, kwargs = (
            {key: value for key, value in values.items() if key not in needless} for values in (by_place, kwargs)
        )
        return function(*args[:start], **by_place, **kwargs)

    call.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    call.needless_keywords = needless  # type: ignore[attr-defined]
    return call


def log_needless(name: str, keywords: Sequence[str]) -> None:
    """Log once that these keywords of a part, given, have no effect, and why."""
    new = [keyword for keyword in keywords if (name, keyword) not in _logged]
    _logged.update((name, keyword) for keyword in new)
    if new:
        reasons = "; ".join(f"{keyword} ({NEEDLESS[name][keyword].reason})" for keyword in new)
        logger.info("%s: these keywords of OpenMMLab have no effect in Kinema: %s", name, reasons)
