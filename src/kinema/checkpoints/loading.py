"""Reading checkpoints of any origin, and loading them with a report. Nothing that is read here executes code.

read_checkpoint("slowonly_r50.pth")              what a file holds
load_checkpoint(model, "slowonly_r50.pth")       set a model's weights, and say what was set and what was not

Files: folders of `save_pretrained`, `.safetensors`, and what `torch.save` wrote: MMAction2's files of both generations,
state dicts bare or under the usual keys. Addresses are downloaded once, see `kinema.checkpoints.downloads`.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kinema.checkpoints.connections import shown_address
from kinema.checkpoints.downloads import fetch, is_address
from kinema.checkpoints.inflation import fit_image_weights
from kinema.checkpoints.safetensors_files import read_safetensors
from kinema.checkpoints.saving import WEIGHTS_FILE
from kinema.checkpoints.unpickling import load_restricted
from kinema.errors import CheckpointError

__all__ = [
    "Checkpoint",
    "LoadReport",
    "apply_checkpoint",
    "load_checkpoint",
    "load_image_network",
    "load_state",
    "read_checkpoint",
    "read_state",
]

State = dict[str, Tensor]
ReviseKeys = Sequence[tuple[str, str]]
STRIP_WRAPPER: ReviseKeys = ((r"^module\.", ""),)

# Where files keep the weights: OpenMMLab, timm and Swin, PySlowFast, DeepSpeed and VideoMAE, and hand-written loops; then files of
# averaged weights alone, of distillation (DINO), and of parts.
_WEIGHT_KEYS = (
    *("state_dict", "model", "model_state", "module", "model_state_dict"),
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema", "teacher", "student"),
    *("network", "net", "weights", "params", "encoder", "backbone"),
)
# What DataParallel, torch.compile and FSDP put into names.
_WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module)\.")
_OUTER_WRAPPERS = re.compile(r"^(module\.)+")
# Entries that files of some versions lack or carry in excess, and that a model makes itself.
_DERIVED = re.compile(r"(^|\.)(num_batches_tracked|relative_position_index)$")
_LEFTOVER = re.compile(r"^data_preprocessor\.")
# The last layers, whose size is the number of classes.
_CLASSIFIER = re.compile(r"(^|\.)(cls_head|aux_head)\.")
# A checkpoint that brings less of a model's parameters is one of another model.
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        state: the weights. Where training kept a moving average of them (EMA), these are the averaged ones.
        content: the rest, by its keys: `meta`, `optimizer`, `message_hub`, ... Objects of unknown classes in it are inert
            shells, see `kinema.checkpoints.unpickling.restricted`.
        inert: names of their classes.
        path: where it was read.
    """

    state: State
    content: Mapping[str, Any] = field(default_factory=dict)
    inert: tuple[str, ...] = ()
    path: Path | None = None

    def training_state(self) -> State:
        """The weights that training goes on from: those that were trained, not their moving average.

        An EMA hook swaps the two when it saves: `ema_state_dict` then holds the trained ones, under `module.`.
        """
        swapped = self.content.get("ema_state_dict")
        if not isinstance(swapped, Mapping):
            return self.state
        trained = {str(name).removeprefix("module."): one for name, one in swapped.items() if isinstance(one, Tensor)}
        return {name: trained.get(name, one) for name, one in self.state.items()}


@dataclass(frozen=True)
class LoadReport:
    """What `load_state` did.

    Attributes:
        loaded: number of the model's tensors that were set.
        expected: number of tensors that the model has, without those that it makes itself.
        missing: names in the model that the checkpoint does not have.
        unexpected: names in the checkpoint that the model does not have.
        mismatched: (name, shape in the checkpoint, shape in the model) of tensors that were not set.
        inert: classes in the file that were not imported, and whose objects are empty shells.
        is_converted: the weights were those of an image network, and fitted to the model's names and shapes.
        prefix: what stood before the names in the checkpoint, as training frameworks put it there, and was left out.
    """

    loaded: int
    expected: int
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    inert: tuple[str, ...] = ()
    is_converted: bool = False
    prefix: str = ""

    @property
    def is_complete(self) -> bool:
        """True when model and checkpoint have the same names and shapes."""
        return not (self.missing or self.unexpected or self.mismatched)

    @property
    def classes(self) -> tuple[int, int] | None:
        """(classes in the checkpoint, classes in the model) where the classifiers differ in nothing else, else None."""
        counts = {(theirs[0], ours[0]) for name, theirs, ours in self.mismatched if _is_resized(name, theirs, ours)}
        return counts.pop() if len(counts) == 1 else None

    @property
    def is_complete_but_for_classes(self) -> bool:
        """True when all that differs is the number of classes."""
        others = [one for one in self.mismatched if not _is_resized(*one)]
        return self.is_complete or not (self.missing or self.unexpected or others or self.classes is None)

    def __str__(self) -> str:
        origin = " of an image network" if self.is_converted else ""
        parts = [f"loaded {self.loaded} of {self.expected} tensors{origin}"]
        if self.prefix:
            parts.append(f"without the prefix {self.prefix!r} of their names in the checkpoint")
        if self.missing:
            parts.append(f"missing in the checkpoint, left as they were: {_shorten(self.missing)}")
        mismatched = self.mismatched
        if self.classes is not None:
            resized = [one[0] for one in mismatched if _is_resized(*one)]
            mismatched = tuple(one for one in mismatched if not _is_resized(*one))
            parts.append(
                f"the classifier is new, for {self.classes[1]} classes in place of {self.classes[0]}, left as "
                f"initialised: {_shorten(resized)}"
            )
        if mismatched:
            shapes = [f"{name} ({_shape(theirs)} there, {_shape(ours)} here)" for name, theirs, ours in mismatched]
            parts.append(f"of another shape, left as they were: {_shorten(shapes)}")
        if self.unexpected:
            parts.append(f"not in the model, not used: {_shorten(self.unexpected)}")
        if self.inert:
            parts.append(f"objects in the file that were not made: {_shorten(self.inert)}")
        return "; ".join(parts)


def _is_resized(name: str, theirs: Sequence[int], ours: Sequence[int]) -> bool:
    """Is it a tensor of a classifier for another number of classes?"""
    return bool(_CLASSIFIER.search(name)) and 0 < len(theirs) == len(ours) and tuple(theirs[1:]) == tuple(ours[1:])


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _shorten(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


# ---- reading


def read_checkpoint(path: str | os.PathLike[str], *, map_location: str | torch.device = "cpu") -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: a folder that `save_pretrained` wrote, a `.safetensors` file, a file of `torch.save`: a state dict, or a dict
            with one under `state_dict`, `model`, `model_state`, `module` or `model_state_dict`; or the address of one
            (`https://...`, `torchvision://resnet50`), which is downloaded once.
        map_location: device of the tensors.

    Raises:
        CheckpointError: there is nothing at `path`, or it is no checkpoint, or it would run something.
    """
    file = fetch(os.fspath(path)) if is_address(os.fspath(path)) else Path(path).expanduser()
    if file.is_dir():
        if not (file / WEIGHTS_FILE).is_file():
            raise CheckpointError(f"{file}: the folder holds no {WEIGHTS_FILE}, so it is no checkpoint")
        file = file / WEIGHTS_FILE
    if not file.is_file():
        raise CheckpointError(f"{file}: there is no such checkpoint")
    if file.suffix == ".safetensors":
        return Checkpoint(read_safetensors(file, map_location), path=file)
    read = load_restricted(file, map_location=map_location)
    state, content = _weights_in(read.content, file)
    return Checkpoint(state, content, read.inert, file)


def read_state(path: str | os.PathLike[str], *, map_location: str | torch.device = "cpu") -> State:
    """Read the weights of a checkpoint alone; see `read_checkpoint`.

    Raises:
        CheckpointError: as there.
    """
    return read_checkpoint(path, map_location=map_location).state


def _weights_in(content: Any, file: Path) -> tuple[State, Mapping[str, Any]]:
    """The weights in what was read, and the rest of it."""
    if isinstance(content, Mapping):
        for key in (*_WEIGHT_KEYS, None):
            inner = content if key is None else content.get(key)
            if not isinstance(inner, Mapping):
                continue
            state = {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
            if state:
                return state, {} if key is None else {str(k): one for k, one in content.items() if k != key}
        found = f"a dict with {_shorten([str(key) for key in content]) or 'nothing'}"
    else:
        found = f"a {type(content).__name__}"
    raise CheckpointError(f"{file} holds no weights: expected a state dict, found {found}")


# ---- loading


def load_state(
    model: nn.Module, state: Mapping[str, Tensor], *, strict: bool = False, revise_keys: ReviseKeys = STRIP_WRAPPER
) -> LoadReport:
    """Set the weights of `model` from `state`.

    What `DataParallel`, `torch.compile` and FSDP add to names, on either side, makes no difference.

    Args:
        model: is changed in place.
        state: name -> tensor.
        strict: refuse any difference of names or shapes, and then change nothing.
        revise_keys: (regular expression, replacement) pairs that are applied to the names, in this order.

    Returns:
        What was set and what was not. `num_batches_tracked` and `relative_position_index` may differ silently.

    Raises:
        CheckpointError: nothing fits, or next to nothing, or `strict` and not everything does.
    """
    fitting, report = check_fit(model, state, strict=strict, revise_keys=revise_keys)
    model.load_state_dict(fitting, strict=False)
    return report


def check_fit(
    model: nn.Module, state: Mapping[str, Tensor], *, strict: bool = False, revise_keys: ReviseKeys = STRIP_WRAPPER
) -> tuple[State, LoadReport]:
    """What `load_state` would set, and its report; changes nothing. Raises CheckpointError as it does."""
    own = model.state_dict()
    given, prefix = _renamed(state, own, revise_keys)
    fitting = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    report = LoadReport(
        loaded=len(fitting),
        expected=sum(name in given or not _DERIVED.search(name) for name in own),
        missing=tuple(name for name in own if name not in given and not _DERIVED.search(name)),
        unexpected=tuple(n for n in given if n not in own and not (_DERIVED.search(n) or _LEFTOVER.search(n))),
        mismatched=tuple(
            (name, tuple(given[name].shape), tuple(own[name].shape))
            for name in own
            if name in given and name not in fitting
        ),
        prefix=prefix,
    )
    parameters = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    share = _numbers(own, set(parameters) & set(fitting)) / max(1, _numbers(own, parameters))
    if own and (not fitting or (parameters and share < _LEAST_SHARE)):
        some = f"next to nothing ({report.loaded} of {report.expected} tensors)" if fitting else "nothing"
        raise CheckpointError(
            f"{some} in the checkpoint fits {type(model).__name__}: it has {_shorten(list(given), 3) or 'nothing'}; "
            f"the model has {_shorten(list(own), 3)}"
        )
    if strict and not report.is_complete:
        raise CheckpointError(f"the checkpoint does not fit {type(model).__name__}: {report}")
    return fitting, report


def _renamed(state: Mapping[str, Tensor], own: Mapping[str, Tensor], revise_keys: ReviseKeys) -> tuple[State, str]:
    """The weights under the names of `own`, and the prefix that was left out of theirs."""
    unwrapped = {_unwrapped(name): name for name in own}
    revised: State = {}
    for name, tensor in state.items():
        for pattern, replacement in revise_keys:
            name = re.sub(pattern, replacement, name)
        revised[name if name in own else unwrapped.get(_unwrapped(name), name)] = tensor
    prefix = _shared_prefix(
        {_unwrapped(name): tensor.shape for name, tensor in revised.items()},
        {name: own[full].shape for name, full in unwrapped.items()},
    )
    if not prefix:
        return revised, ""
    given: State = {}
    for name, tensor in revised.items():
        plain = _unwrapped(_unwrapped(name).removeprefix(prefix))
        given[unwrapped.get(plain, plain) if _unwrapped(name).startswith(prefix) else name] = tensor
    return given, prefix


def _shared_prefix(shapes: Mapping[str, torch.Size], own: Mapping[str, torch.Size]) -> str:
    """What a wrapper put before the names: without it most of them fit, and with it none is one of `own`. Empty: there is none."""
    if any(name in own for name in shapes):
        return ""
    counts = Counter(prefix for name in shapes for prefix in _prefixes(name))
    best, most = "", 0
    for prefix, count in counts.items():
        fits = sum(
            own.get(_unwrapped(name.removeprefix(prefix))) == shape
            for name, shape in shapes.items()
            if name.startswith(prefix)
        )
        if fits > most and 2 * fits > count and 2 * count > len(shapes):
            best, most = prefix, fits
    return best


def _prefixes(name: str) -> list[str]:
    """The first one, two and three parts of a dotted name, each with its dot."""
    parts = name.split(".")
    return [".".join(parts[:count]) + "." for count in range(1, min(4, len(parts)))]


def _unwrapped(name: str) -> str:
    return _OUTER_WRAPPERS.sub("", _WRAPPERS.sub("", name))


def _numbers(own: Mapping[str, Tensor], names: Sequence[str] | set[str]) -> int:
    return sum(own[name].numel() for name in names if name in own)


def load_checkpoint(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    strict: bool = False,
    revise_keys: ReviseKeys = STRIP_WRAPPER,
    map_location: str | torch.device = "cpu",
) -> LoadReport:
    """Read the weights at `path` and set those of `model`.

    Weights of an image network (torchvision's, timm's), of which nothing fits as it is, are renamed and inflated where the
    model or its backbone is a network of the same kind over videos.

    Args:
        model: is changed in place.
        path: see `read_checkpoint`.
        strict: refuse any difference of names or shapes, and then change nothing.
        revise_keys: see `load_state`.
        map_location: device on which the file is read.

    Returns:
        What was set and what was not: look at it, or print it.

    Raises:
        CheckpointError: the file cannot be read or does not fit; the message names it.
    """
    return apply_checkpoint(
        model, read_checkpoint(path, map_location=map_location), path, strict=strict, revise_keys=revise_keys
    )


def apply_checkpoint(
    model: nn.Module,
    read: Checkpoint,
    path: str | os.PathLike[str],
    *,
    strict: bool = False,
    revise_keys: ReviseKeys = STRIP_WRAPPER,
) -> LoadReport:
    """`load_checkpoint` of what was read already; `path` is what messages call it.

    Raises:
        CheckpointError: it does not fit.
    """
    try:
        return replace(_load_any(model, read.state, strict, revise_keys), inert=read.inert)
    except CheckpointError as error:
        raise CheckpointError(f"{shown_address(str(path))}: {error}") from None


def _load_any(model: nn.Module, state: State, strict: bool, revise_keys: ReviseKeys) -> LoadReport:
    try:
        return load_state(model, state, strict=strict, revise_keys=revise_keys)
    except CheckpointError:
        fitted = None if strict else fit_image_weights(state, model.state_dict())
        if fitted is None:
            raise
        return replace(load_state(model, fitted, revise_keys=()), is_converted=True)


def load_image_network(model: nn.Module, path: str | os.PathLike[str]) -> LoadReport:
    """Set the weights of a backbone, or of a recognizer's backbone, from those of an image network.

    Raises:
        CheckpointError: the file cannot be read, or it is no image network of that kind.
    """
    state = read_state(path)
    own = model.state_dict()
    fitted = fit_image_weights(state, own)
    try:
        return replace(load_state(model, state if fitted is None else fitted), is_converted=fitted is not None)
    except CheckpointError as error:
        raise CheckpointError(f"{shown_address(str(path))}: {error}") from None
