"""What a config that came with weights may do.

It may build a model and a pipeline of Kinema's parts, of a size that fits the weights.

Such a config is data of whoever made the file. It names parts by text, and so could name any that
reads another file, asks an address, or calls a function. A config that a user gives (`config=`, the
command line) is the user's own code and is not checked here.
"""

import math
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kinema.checkpoints.loading import check_fit
from kinema.checkpoints.reading import Checkpoint
from kinema.errors import CheckpointError, MissingDependencyError
from kinema.models.backbones.libraries import check_plain, is_third_party
from kinema.printable import first_line
from kinema.registry import MODELS, TRANSFORMS, Registry
from kinema.registry.scopes import registered_names_only

# Transforms that call what another library or the config names.
REFUSED_TRANSFORMS = frozenset({"TensorTransform", "TorchVisionWrapper", "KorniaWrapper", "PytorchVideoWrapper"})
# Where weights come from, which the file brings itself: left out, not an error, for published
# configs have them.
_ORIGINS = frozenset({"pretrained", "init_cfg", "pretrained2d", "torchvision_pretrain"})
# Keywords of parts that are not Kinema's own which may lead to files, addresses or code.
_LEADING = re.compile(
    r"path|file|dir$|folder|root$|url|uri$|addr|weights|pretrain|checkpoint|ckpt|cache|overlay|imports?$|script|command|callback",
    re.IGNORECASE,
)
_SMALL = re.compile(r"pad|strid|dilat|kernel|scale_factor|upsample")

MOST_VALUES = 100_000
MOST_DEPTH = 30
MOST_TEXT = 2_000
LARGEST_NUMBER = 100_000
LARGEST_SMALL = 64  # padding and the like, which make activations large but no weights
LARGEST_SIDE = 4096  # pixels
MOST_DECODED = 2_048  # frames of all clips of a video
MOST_FRAMES = 8_192  # the same with all crops
LARGEST_FACTOR = 16


def checked_model(model: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The config of a model, without what says where weights come from.

    Args:
        model: as the file has it.
        where: what messages call the file.

    Raises:
        CheckpointError: it names a part that files may not name, or holds what is no plain value,
            or is not of a sensible size.
    """
    _check_plain(model, where, "model")
    with registered_names_only():
        kept = _checked(model, MODELS, f"{where}: its config's model", is_model=True)
    assert isinstance(kept, dict)
    _check_preprocessor(kept.get("data_preprocessor"), where)
    return kept


def checked_pipeline(steps: Any, where: str) -> list[dict[str, Any]]:
    """The config of a pipeline, each step of which is a transform for prediction.

    Raises:
        CheckpointError: as `checked_model`.
    """
    if not isinstance(steps, list | tuple) or not all(isinstance(step, Mapping) for step in steps):
        raise CheckpointError(f"{where}: its pipeline is no list of transforms")
    _check_plain(steps, where, "pipeline")
    with registered_names_only():
        kept: list[dict[str, Any]] = _checked(
            list(steps), TRANSFORMS, f"{where}: its config's pipeline", is_model=False
        )
    _check_sizes(kept, where)
    return kept


def _check_plain(config: Any, where: str, what: str) -> None:
    """Raises CheckpointError: something in it is no plain value, too deep, too long or too many."""
    todo: list[tuple[Any, int]] = [(config, 0)]
    seen = 0
    while todo:
        value, depth = todo.pop()
        seen += 1
        if seen > MOST_VALUES or depth > MOST_DEPTH:
            raise CheckpointError(f"{where}: its {what} is too large or too deeply nested for a config")
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) and len(key) <= MOST_TEXT for key in value):
                raise CheckpointError(f"{where}: its {what} has a key that is no text")
            todo.extend((entry, depth + 1) for entry in value.values())
        elif isinstance(value, list | tuple):
            todo.extend((entry, depth + 1) for entry in value)
        elif isinstance(value, str):
            if len(value) > MOST_TEXT:
                raise CheckpointError(f"{where}: its {what} has a text of {len(value)} characters")
        elif isinstance(value, int | float):
            if abs(value) > LARGEST_NUMBER and value not in (math.inf, -math.inf):
                raise CheckpointError(f"{where}: its {what} has a number beyond {LARGEST_NUMBER}")
        elif value is not None:
            raise CheckpointError(f"{where}: its {what} holds a {type(value).__name__}, which is no plain value")


def _checked(config: Any, registry: Registry, place: str, *, is_model: bool) -> Any:
    """A copy of `config` in which each part may be named by a file."""
    if isinstance(config, list | tuple):
        parts = (_checked(part, registry, f"{place}[{index}]", is_model=is_model) for index, part in enumerate(config))
        return type(config)(parts)
    if not isinstance(config, Mapping):
        return config
    kept = {key: value for key, value in config.items() if not (is_model and key in _ORIGINS)}
    if "type" in kept:
        if is_model and is_third_party(kept):
            check_plain(kept, place)
            return kept
        is_own = _check_part(kept, registry, place)
        if not is_own:
            _check_keywords(kept, place)
        elif not is_model:
            _check_reading(kept, place)
    if is_model:
        for key, value in kept.items():
            _check_small(key, value, place)
    return {
        key: value if key == "_scope_" else _checked(value, registry, f"{place}.{key}", is_model=is_model)
        for key, value in kept.items()
    }


def _check_part(config: Mapping[str, Any], registry: Registry, place: str) -> bool:
    """Is the part that `config` names Kinema's own? Raises CheckpointError: files may not name it."""
    kind, scope = config["type"], config.get("_scope_")
    if not isinstance(kind, str) or not isinstance(scope, str | None):
        raise CheckpointError(f"{place}: 'type' must be the name of a {registry.name}, got a {type(kind).__name__}")
    part = (registry.get(f"{scope}.{kind}") if scope else None) or registry.get(kind)
    if part is None or (registry is TRANSFORMS and kind.rpartition(".")[2] in REFUSED_TRANSFORMS):
        raise CheckpointError(
            f"{place}: it names {kind[:80]!r}, which a config that comes with weights may not: it may name Kinema's own"
            f" {registry.name}s and those that your program registered. If you trust the file, give its config"
            " yourself, as in kinema.load(path, config=...)"
        )
    return registry.is_own(part)


def _check_keywords(config: Mapping[str, Any], place: str) -> None:
    for key in config:
        if _LEADING.search(key):
            raise CheckpointError(
                f"{place}: it sets {key[:80]!r} of {config['type'][:80]!r}, which may lead to files or code; a config"
                " that comes with weights may not set that. If you trust the file, give its config yourself, as in"
                " kinema.load(path, config=...)"
            )


def _check_reading(config: Mapping[str, Any], place: str) -> None:
    """How much a video may ask for, and which formats and addresses are opened, is not for a file to say."""
    if config.get("limits") is not None:
        raise CheckpointError(
            f"{place}: it sets 'limits' of {config['type'][:80]!r}, which a config that comes with weights may not: set"
            " them by kinema.video.set_default_limits or the environment variable KINEMA_VIDEO_LIMITS"
        )
    threads = config.get("num_threads")
    if isinstance(threads, int | float) and threads > LARGEST_SMALL:
        raise CheckpointError(f"{place}: num_threads={threads!r:.80} is beyond {LARGEST_SMALL}")


def _check_small(key: str, value: Any, place: str) -> None:
    if not _SMALL.search(key):
        return
    todo = [value]
    while todo:
        number = todo.pop()
        if isinstance(number, list | tuple):
            todo.extend(number)
        elif isinstance(number, int | float) and abs(number) > LARGEST_SMALL:
            raise CheckpointError(f"{place}: {key}={value!r:.80} is beyond {LARGEST_SMALL}")


# ---- what is fed to the model


def _check_preprocessor(config: Any, where: str) -> None:
    if not isinstance(config, Mapping):
        return
    for name in ("mean", "std"):
        values = config.get(name)
        if values is None:
            continue
        numbers = values if isinstance(values, list | tuple) else [values]
        if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
            raise CheckpointError(
                f"{where}: the {name} of its data_preprocessor is no list of finite numbers: {values!r:.80}"
            )
        if name == "std" and any(number <= 0 for number in numbers):
            raise CheckpointError(f"{where}: the std of its data_preprocessor must be above 0, got {values!r:.80}")


def _check_sizes(steps: list[dict[str, Any]], where: str) -> None:
    """Raises CheckpointError: the steps would make frames or clips of no sensible size."""
    decoded = views = 1
    for step in _steps(steps):
        for key in ("clip_len", "num_clips", "frame_interval", "num_threads", "clip_interval"):
            value = step.get(key, 1)
            if type(value) is not int or value < 1 or (key == "num_threads" and value > LARGEST_SMALL):
                raise CheckpointError(
                    f"{where}: {key} of {step.get('type')!r:.80} must be a whole number above 0, got {value!r:.80}"
                )
        decoded *= step.get("clip_len", 1) * step.get("num_clips", 1) * (2 if step.get("twice_sample") else 1)
        views *= {"TenCrop": 10, "ThreeCrop": 3}.get(str(step.get("type")).rpartition(".")[2], 1)
        if decoded > MOST_DECODED or decoded * views > MOST_FRAMES:
            raise CheckpointError(
                f"{where}: its pipeline takes {decoded} frames of a video, {decoded * views} with its crops;"
                f" {MOST_DECODED} and {MOST_FRAMES} are the most for a config that comes with weights. Give its config"
                " yourself, as in kinema.load(path, config=...)"
            )
        for key in ("scale", "crop_size", "size", "input_size", "scale_range", "short_side"):
            _check_side(step.get(key), key, step, where)


def _steps(steps: Any) -> Iterator[dict[str, Any]]:
    """Each dict in nested steps that names a transform."""
    if isinstance(steps, Mapping):
        if "type" in steps:
            yield dict(steps)
        for value in steps.values():
            yield from _steps(value)
    elif isinstance(steps, list | tuple):
        for step in steps:
            yield from _steps(step)


def _check_side(value: Any, key: str, step: Mapping[str, Any], where: str) -> None:
    sides = value if isinstance(value, list | tuple) else [value]
    for side in sides:
        is_factor = key == "scale" and not isinstance(value, list | tuple)
        most = LARGEST_FACTOR if is_factor else LARGEST_SIDE
        if isinstance(side, int | float) and not math.isinf(side) and not side <= most:
            raise CheckpointError(f"{where}: {key}={value!r:.80} of {step.get('type')!r:.80} is beyond {most}")


# ---- building


def build_checked(model: Mapping[str, Any], read: Checkpoint, where: str) -> nn.Module:
    """Build a model from a checked config, after its tensors were compared with those of the weights.

    It is built on the device `meta` first, where tensors take no memory, and given up when it makes
    more than the weights have.

    Args:
        model: what `checked_model` gave.
        read: the weights.
        where: what messages call the file.

    Raises:
        CheckpointError: it cannot be built, or is not the model of these weights.
    """
    with _counted(read.state, where):
        try:
            with torch.device("meta"):
                sketch = _built(model, where)
        except CheckpointError as error:
            # Some networks of other libraries read numbers out of tensors while they are built.
            # Their sizes are bounded by `check_plain`.
            if "meta" not in str(error) or not is_third_party(model.get("backbone") or {}):
                raise
            sketch = _built(model, where)
    try:
        check_fit(sketch, read.state, strict=True)
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from None
    return _built(model, where)


def _built(model: Mapping[str, Any], where: str) -> nn.Module:
    try:
        with registered_names_only():
            built = MODELS.build(dict(model))
    except (CheckpointError, MissingDependencyError):
        raise
    except Exception as error:  # whatever odd values make of a part's constructor
        raise CheckpointError(f"{where}: its config cannot be built: {first_line(error)}") from error
    if not isinstance(built, nn.Module) or not callable(getattr(built, "test_step", None)):
        raise CheckpointError(f"{where}: its config builds a {type(built).__name__}, which is no recognizer")
    return built


@contextmanager
def _counted(state: Mapping[str, Tensor], where: str) -> Iterator[None]:
    """Within it, this thread may make modules and parameters as many as the weights `state` call for."""
    thread = threading.get_ident()
    left = {
        "tensors": 2 * len(state) + 200,
        "modules": 20 * len(state) + 2_000,
        "numbers": 4 * sum(tensor.numel() for tensor in state.values()) + 10_000_000,
    }

    def take(what: str, count: int) -> None:
        left[what] -= count
        if left[what] < 0:
            raise CheckpointError(f"{where}: its config is of a larger model than its weights: too many {what}")

    def tensor(module: nn.Module, name: str, value: Tensor | None) -> None:
        if threading.get_ident() == thread and value is not None:
            take("tensors", 1)
            take("numbers", value.numel())

    def submodule(module: nn.Module, name: str, value: nn.Module | None) -> None:
        if threading.get_ident() == thread:
            take("modules", 1)

    hooks = nn.modules.module
    handles = [
        hooks.register_module_parameter_registration_hook(tensor),
        hooks.register_module_buffer_registration_hook(tensor),
        hooks.register_module_module_registration_hook(submodule),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_class_count(model: nn.Module, classes: tuple[str, ...], where: str) -> None:
    """Raises CheckpointError: the model has another number of classes than there are names."""
    outputs = getattr(getattr(model, "cls_head", None), "num_classes", None)
    if classes and isinstance(outputs, int) and outputs != len(classes):
        raise CheckpointError(f"{where}: it has the names of {len(classes)} classes, and a model for {outputs}")
