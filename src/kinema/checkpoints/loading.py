"""Setting the weights of a model from a checkpoint, with a report.

load_checkpoint(model, "slowonly_r50.pth")
load_checkpoint(model, read_checkpoint("slowonly_r50.pth"))
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kinema.checkpoints.inflation import fit_image_weights
from kinema.checkpoints.positions import fit_positions
from kinema.checkpoints.reading import Checkpoint, State, read_checkpoint, shortened
from kinema.checkpoints.renaming import STRIP_WRAPPER, ReviseKeys, renamed
from kinema.errors import CheckpointError

# Entries that files of some versions lack or carry in excess, and that a model makes itself.
_DERIVED = re.compile(r"(^|\.)(num_batches_tracked|relative_position_index)$")
_LEFTOVER = re.compile(r"^data_preprocessor\.")
# The last layers, whose size is the number of classes.
_CLASSIFIER = re.compile(r"(^|\.)(cls_head|aux_head)\.")
# A checkpoint that brings less of a model's parameters is one of another model.
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class LoadReport:
    """What `load_checkpoint` did.

    Attributes:
        loaded: number of the model's tensors that were set.
        expected: number of tensors that the model has, without those that it makes itself.
        missing: names in the model that the checkpoint does not have.
        unexpected: names in the checkpoint that the model does not have.
        mismatched: (name, shape in the checkpoint, shape in the model) of tensors that were not
            set.
        inert: classes in the file that were not imported, and whose objects are empty shells.
        is_converted: the weights were those of an image network, and fitted to the model's names
            and shapes.
        prefix: what stood before the names in the checkpoint, as training frameworks put it there,
            and was left out.
        hint: how tables of positions could be fitted, where they were not; empty: none could.
    """

    loaded: int
    expected: int
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    inert: tuple[str, ...] = ()
    is_converted: bool = False
    prefix: str = ""
    hint: str = ""

    @property
    def is_complete(self) -> bool:
        """True when model and checkpoint have the same names and shapes."""
        return not (self.missing or self.unexpected or self.mismatched)

    @property
    def classes(self) -> tuple[int, int] | None:
        """(classes in the checkpoint, classes in the model) where the classifiers differ in nothing else, else None."""
        counts = {(given[0], own[0]) for name, given, own in self.mismatched if _is_resized(name, given, own)}
        return counts.pop() if len(counts) == 1 else None

    @property
    def is_complete_but_for_classes(self) -> bool:
        """True when all that differs is the number of classes."""
        others = [entry for entry in self.mismatched if not _is_resized(*entry)]
        return self.is_complete or not (self.missing or self.unexpected or others or self.classes is None)

    def __str__(self) -> str:
        origin = " of an image network" if self.is_converted else ""
        parts = [f"loaded {self.loaded} of {self.expected} tensors{origin}"]
        if self.prefix:
            parts.append(f"without the prefix {self.prefix!r} of their names in the checkpoint")
        if self.missing:
            parts.append(f"missing in the checkpoint, left as they were: {shortened(self.missing)}")
        mismatched = self.mismatched
        if self.classes is not None:
            resized = [entry[0] for entry in mismatched if _is_resized(*entry)]
            mismatched = tuple(entry for entry in mismatched if not _is_resized(*entry))
            parts.append(
                f"the classifier is new, for {self.classes[1]} classes in place of {self.classes[0]}, left as "
                f"initialised: {shortened(resized)}"
            )
        if mismatched:
            parts.append(f"of another shape, left as they were: {shortened(both_shapes(mismatched))}")
        if self.hint:
            parts.append(self.hint)
        if self.unexpected:
            parts.append(f"not in the model, not used: {shortened(self.unexpected)}")
        if self.inert:
            parts.append(f"objects in the file that were not made: {shortened(self.inert)}")
        return "; ".join(parts)


def _is_resized(name: str, given: Sequence[int], own: Sequence[int]) -> bool:
    """Is it a tensor of a classifier for another number of classes?"""
    return bool(_CLASSIFIER.search(name)) and 0 < len(given) == len(own) and tuple(given[1:]) == tuple(own[1:])


def both_shapes(mismatched: Sequence[tuple[str, Sequence[int], Sequence[int]]]) -> list[str]:
    """For messages: each name with its shape in the checkpoint and in the model."""
    return [f"{name} ({_shape(given)} there, {_shape(own)} here)" for name, given, own in mismatched]


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def check_fit(
    model: nn.Module, state: Mapping[str, Tensor], *, strict: bool = False, revise_keys: ReviseKeys = STRIP_WRAPPER
) -> tuple[State, LoadReport]:
    """What `load_checkpoint` would set, and its report; changes nothing.

    Raises CheckpointError as it does.
    """
    own = model.state_dict()
    given, prefix = renamed(state, own, revise_keys)
    given, hint = fit_positions(model, given, own)
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
        hint=hint,
    )
    parameters = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    share = _numbers(own, set(parameters) & set(fitting)) / max(1, _numbers(own, parameters))
    if own and (not fitting or (parameters and share < _LEAST_SHARE)):
        some = f"next to nothing ({report.loaded} of {report.expected} tensors)" if fitting else "nothing"
        raise CheckpointError(
            f"{some} in the checkpoint fits {type(model).__name__}: it has {shortened(list(given), 3) or 'nothing'}; "
            f"the model has {shortened(list(own), 3)}"
        )
    if strict and not report.is_complete:
        raise CheckpointError(f"the checkpoint does not fit {type(model).__name__}: {report}")
    return fitting, report


def _numbers(own: Mapping[str, Tensor], names: Sequence[str] | set[str]) -> int:
    return sum(own[name].numel() for name in names if name in own)


def load_checkpoint(
    model: nn.Module,
    source: str | os.PathLike[str] | Checkpoint,
    *,
    strict: bool = False,
    revise_keys: ReviseKeys = STRIP_WRAPPER,
    image_network: bool | None = None,
    map_location: str | torch.device = "cpu",
) -> LoadReport:
    """Set the weights of a model.

    What `DataParallel`, `torch.compile` and FSDP add to names, on either side, makes no difference.

    Args:
        model: is changed in place.
        source: a checkpoint, or where to read it, see `read_checkpoint`.
        strict: refuse any difference of names or shapes, and then change nothing.
        revise_keys: (regular expression, replacement) pairs that are applied to the names, in this
            order.
        image_network: the weights are those of an image network (torchvision's, timm's): rename and
            inflate them for a network of the same kind over videos, which the model or its backbone
            is. None: where nothing fits as it is.
        map_location: device on which a file is read.

    Returns:
        What was set and what was not: look at it, or print it. `num_batches_tracked` and
        `relative_position_index` may differ silently.

    Raises:
        CheckpointError: the file cannot be read; nothing fits, or next to nothing, or `strict` and
            not everything does.
    """
    read = source if isinstance(source, Checkpoint) else read_checkpoint(source, map_location=map_location)
    try:
        return replace(_load(model, read.state, strict, revise_keys, image_network), inert=read.inert)
    except CheckpointError as error:
        raise CheckpointError(f"{read.name}: {error}" if read.name else str(error)) from None


def _load(
    model: nn.Module, state: State, strict: bool, revise_keys: ReviseKeys, image_network: bool | None
) -> LoadReport:
    inflated = fit_image_weights(state, model.state_dict()) if image_network else None
    if inflated is None:
        try:
            return _set(model, *check_fit(model, state, strict=strict, revise_keys=revise_keys))
        except CheckpointError:
            if strict or image_network is not None:
                raise
            inflated = fit_image_weights(state, model.state_dict())
            if inflated is None:
                raise
    report = _set(model, *check_fit(model, inflated, strict=strict, revise_keys=()))
    return replace(report, is_converted=True)


def _set(model: nn.Module, fitting: State, report: LoadReport) -> LoadReport:
    model.load_state_dict(fitting, strict=False)
    return report
