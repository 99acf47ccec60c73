"""Files of other publishers, read in full: every weight of a file goes to its place, or has a rule, or is an error.

A network is described to a format by its own tensors under the file's names. Where a file cuts
tensors otherwise (queries, keys and values apart, say) these are views of the network's tensors.
"""

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinema.checkpoints.loading import LoadReport
from kinema.checkpoints.reading import Checkpoint, State, read_checkpoint, shortened
from kinema.errors import CheckpointError

logger = logging.getLogger("kinema")

# A network's own tensors, or views of them, under the names that a file gives them: to write to.
Views = dict[str, Tensor]
WRAPPERS = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class FileFormat:
    """How the files of one publisher name and wrap the weights of a kind of network.

    Attributes:
        name: what messages call it, such as `"V-JEPA 2 of Meta"`.
        backbone: backbone -> its tensors under the file's names.
        head: head -> its tensors under the file's names; None: the files hold no classifier.
        of_head: regular expression: the names that belong to the head, which a file may lack; where
            no head is loaded, they are left out.
        prefixes: what is taken from the front of names, again and again, in any order.
        branches: keys of a file of which each holds such weights, the preferred one first; empty:
            the files have one.
        spare: regular expression: further names that files may hold and the network has no use for.
        optional: regular expression: names that files may lack, where the network makes the values.
        convert: prepares weights with their prefixes taken off: (weights, tensors of the network under
            the file's names) -> weights.
        sign: regular expression: a name that every such file has, and no file of another format; None:
            the names tell nothing.
        resize_classes: a classifier for another number of classes is left as it is, and the log says so.
    """

    name: str
    backbone: Callable[[nn.Module], Views]
    head: Callable[[nn.Module], Views] | None = None
    of_head: str = r"^head\."
    prefixes: tuple[str, ...] = WRAPPERS
    branches: tuple[str, ...] = ()
    spare: str | None = None
    optional: str | None = None
    convert: Callable[[State, Views], State] | None = None
    sign: str | None = None
    resize_classes: bool = True


@dataclass(frozen=True)
class _Fit:
    """Weights of a file against a network: what `load_whole` would set, and what is wrong."""

    kind: FileFormat
    fitting: Views
    weights: State
    left: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    resized: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]
    branch: str

    @property
    def is_whole(self) -> bool:
        return not (self.missing or self.unexpected or self.mismatched)

    def problems(self) -> str:
        shapes = [f"{name} ({_shape(given)} there, {_shape(own)} here)" for name, given, own in self.mismatched]
        lists = (("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", shapes))
        return "; ".join(f"{what}: {shortened(names)}" for what, names in lists if names)


def load_whole(
    source: str | os.PathLike[str] | Checkpoint,
    formats: Sequence[FileFormat],
    backbone: nn.Module,
    head: nn.Module | None = None,
    *,
    branch: str | None = None,
) -> LoadReport:
    """Set the weights of a network from a file that is read in full.

    Args:
        source: a checkpoint, or where to read it, see `read_checkpoint`.
        formats: those that the file may be of; the one whose names fit best is taken.
        backbone: is changed in place.
        head: is changed in place, where the file holds a classifier; None: a classifier is left out.
        branch: key of the file that holds the weights, where it has several; None: the format's
            preferred one that is there.

    Returns:
        What was set; the log says it too.

    Raises:
        CheckpointError: a weight of the file has no place, a tensor of the network has no weight, or
            shapes differ; or there is no such branch. Nothing is changed then.
    """
    read = source if isinstance(source, Checkpoint) else read_checkpoint(source)
    fits = [_fit(kind, read, backbone, head, branch) for kind in _possible(formats, read)]
    best = max(fits, key=lambda fit: (fit.is_whole, len(fit.fitting) - len(fit.unexpected) - len(fit.missing)))
    if not best.is_whole:
        raise CheckpointError(
            f"{read.name or 'the checkpoint'} does not hold the weights of this {type(backbone).__name__}, read as "
            f"{best.kind.name}: {best.problems()}. Nothing was loaded: build the network that the file belongs to"
        )
    with torch.no_grad():
        for name, view in best.fitting.items():
            view.copy_(best.weights[name])
    _log(read, best, head)
    return LoadReport(
        len(best.fitting), len(best.fitting) + len(best.resized), mismatched=best.resized, inert=read.inert
    )


def fits_format(read: Checkpoint, formats: Sequence[FileFormat], backbone: nn.Module) -> bool:
    """Are the names of a checkpoint rather those of one of the formats than the backbone's own?"""
    own = set(backbone.state_dict())
    plain = len(own & {re.sub(r"^(module\.)?(backbone\.)?", "", name) for name in read.state})
    return any(len(_fit(kind, read, backbone, None, None).fitting) > plain for kind in _possible(formats, read))


def _possible(formats: Sequence[FileFormat], read: Checkpoint) -> list[FileFormat]:
    """The formats whose sign the file has; without any, those that have none."""
    signed = [
        kind for kind in formats if any(_matches(kind.sign, _stripped(name, kind.prefixes)) for name in read.state)
    ]
    return signed or [kind for kind in formats if kind.sign is None]


def _fit(kind: FileFormat, read: Checkpoint, backbone: nn.Module, head: nn.Module | None, branch: str | None) -> _Fit:
    key, state = _branch(kind, read, branch)
    of_head = re.compile(kind.of_head)
    weights = {_stripped(name, kind.prefixes): tensor for name, tensor in state.items()}
    views = dict(kind.backbone(backbone))
    has_head = any(of_head.search(name) for name in weights)
    if head is not None and kind.head is not None and has_head:
        views |= kind.head(head)
    if kind.convert is not None:
        weights = kind.convert(weights, views)
    left = tuple(
        name
        for name in weights
        if name not in views
        and ((of_head.search(name) and (head is None or kind.head is None)) or _matches(kind.spare, name))
    )
    shapes = [
        (name, tuple(weights[name].shape), tuple(view.shape))
        for name, view in views.items()
        if name in weights and weights[name].shape != view.shape
    ]
    resized = tuple(entry for entry in shapes if kind.resize_classes and of_head.search(entry[0]) and _classes(entry))
    different = {name for name, _, _ in shapes}
    return _Fit(
        kind,
        {name: view for name, view in views.items() if name in weights and name not in different},
        weights,
        left,
        missing=tuple(name for name in views if name not in weights and not _matches(kind.optional, name)),
        unexpected=tuple(name for name in weights if name not in views and name not in left),
        mismatched=tuple(entry for entry in shapes if entry not in resized),
        resized=resized,
        branch=key,
    )


def _branch(kind: FileFormat, read: Checkpoint, branch: str | None) -> tuple[str, State]:
    """The key of a file under which its weights are, and these."""
    held = {
        str(key): {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
        for key, value in read.content.items()
        if isinstance(value, Mapping)
    }
    held = {key: state for key, state in held.items() if state}
    if read.key:
        held[read.key] = read.state
    if branch is None:
        return next(((key, held[key]) for key in kind.branches if key in held), (read.key, read.state))
    if branch not in held:
        there = sorted(held.keys() & set(kind.branches)) or sorted(held)
        raise CheckpointError(
            f"{read.name or 'the checkpoint'} has no weights under {branch!r}: "
            + (f"it has them under {', '.join(there)}" if there else "it is one set of weights, without such keys")
        )
    return branch, held[branch]


def _stripped(name: str, prefixes: Sequence[str]) -> str:
    """The name without prefixes at its front; what stands farther behind stays."""
    while True:
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        if prefix is None:
            return name
        name = name.removeprefix(prefix)


def _matches(pattern: str | None, name: str) -> bool:
    return pattern is not None and re.search(pattern, name) is not None


def _classes(entry: tuple[str, tuple[int, ...], tuple[int, ...]]) -> bool:
    """Does a tensor differ in its first dimension only, the number of classes?"""
    _, given, own = entry
    return 0 < len(given) == len(own) and given[1:] == own[1:]


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _log(read: Checkpoint, fit: _Fit, head: nn.Module | None) -> None:
    parts = [f"loaded {len(fit.fitting)} tensors of {fit.kind.name}"]
    if fit.branch in fit.kind.branches:
        parts.append(f"from its weights under {fit.branch!r}")
    if fit.resized:
        _, given, own = fit.resized[0]
        parts.append(f"the classifier is new, for {own[0]} classes in place of {given[0]}")
    elif head is not None and not any(re.search(fit.kind.of_head, name) for name in fit.weights):
        parts.append("the file has no head: the classifier is new")
    if fit.left:
        parts.append(f"not needed: {shortened(fit.left, 4)}")
    logger.info("%s: %s", read.name or "checkpoint", "; ".join(parts))
