"""Files of other publishers, read in full: every weight of a file goes to its place, or has a rule, or is an error.

A network is described to a format by its own tensors under the file's names. Where a file cuts
tensors otherwise (queries, keys and values apart, say) these are views of the network's tensors.
"""

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kinema.checkpoints.loading import LoadReport, both_shapes
from kinema.checkpoints.positions import fit_positions
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
            the names say nothing.
        classes: regular expression: the tensors whose first dimension counts the classes; where a
            head has other classes they are left as they are, and the log says so; None: all of the
            head's.
        head_settings: backbone -> arguments that a head must be built with, so that it computes what
            the publisher's own code computes with these weights.
        advice: regular expression of a name, and what to do where that tensor has another shape in the
            file; None: nothing but another network.
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
    classes: str | None = None
    head_settings: Callable[[nn.Module], dict[str, Any]] | None = None
    advice: tuple[str, str] | None = None

    def has_head_in(self, read: Checkpoint) -> bool:
        """Does a checkpoint of this format hold a classifier?"""
        _, state = _branch(self, read, None)
        return self.head is not None and any(re.search(self.of_head, _stripped(name, self.prefixes)) for name in state)


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
    hint: str

    @property
    def is_whole(self) -> bool:
        return bool(self.fitting) and not (self.missing or self.unexpected or self.mismatched)

    @property
    def known(self) -> int:
        """Names of the file that the network has, whatever their shapes."""
        return len(self.fitting) + len(self.mismatched) + len(self.resized)

    def problems(self) -> str:
        lists = (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("of another shape", both_shapes(self.mismatched)),
        )
        problems = [f"{what}: {shortened(names)}" for what, names in lists if names]
        return "; ".join(problems) or "it has none of them"

    def advice(self) -> str:
        """How to fix it."""
        if self.kind.advice is not None and any(re.search(self.kind.advice[0], name) for name, *_ in self.mismatched):
            return "; ".join(filter(None, (self.kind.advice[1], self.hint)))
        return "; ".join(filter(None, ("build the network that the file belongs to", self.hint)))


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
            shapes differ; or there is no such branch, or the head was built with other settings than
            the weights are for. Nothing is changed then.
    """
    read = source if isinstance(source, Checkpoint) else read_checkpoint(source)
    fits = [_fit(kind, read, backbone, head, branch) for kind in _possible(formats, read)]
    best = max(fits, key=_closeness)
    if not best.is_whole:
        raise CheckpointError(
            f"{read.name or 'the checkpoint'} does not hold the weights of this {type(backbone).__name__}, read as "
            f"{best.kind.name}: {best.problems()}. Nothing was loaded: {best.advice()}"
        )
    _check_head(read, best, backbone, head)
    with torch.no_grad():
        for name, view in best.fitting.items():
            view.copy_(best.weights[name])
    _log(read, best, head)
    return LoadReport(
        len(best.fitting), len(best.fitting) + len(best.resized), mismatched=best.resized, inert=read.inert
    )


def load_published(model: nn.Module, read: Checkpoint) -> LoadReport | None:
    """Set the weights of a recognizer from a file of another publisher.

    Its `backbone` says which formats it may be of (`file_formats`), and which branch is wanted
    (`branch`). None: the checkpoint is of none of them.

    Raises:
        CheckpointError: see `load_whole`.
    """
    backbone = getattr(model, "backbone", None)
    head = getattr(model, "cls_head", None)
    kind = None if backbone is None else format_of(read, getattr(backbone, "file_formats", ()), backbone, head)
    if backbone is None or kind is None:
        return None
    return load_whole(read, [kind], backbone, head, branch=getattr(backbone, "branch", None))


def format_of(
    read: Checkpoint, formats: Sequence[FileFormat], backbone: nn.Module, head: nn.Module | None = None
) -> FileFormat | None:
    """The format whose names fit a checkpoint best; None: it is one of the backbone's own, or of nothing here."""
    own = set(backbone.state_dict())
    plain = len(own & {re.sub(r"^(module\.)?(backbone\.)?", "", name) for name in read.state})
    fits = [_fit(kind, read, backbone, head, None) for kind in _possible(formats, read)]
    fits = [fit for fit in fits if fit.known]
    if not fits:
        return None
    best = max(fits, key=_closeness)
    # Where the authors' names are the backbone's, a checkpoint of a whole recognizer is still one of ours.
    is_ours = plain >= best.known and any(name.startswith("cls_head.") for name in read.state)
    return None if is_ours or best.known < plain else best.kind


def _possible(formats: Sequence[FileFormat], read: Checkpoint) -> list[FileFormat]:
    """The formats whose sign the file has; without any, those that have none."""
    signed = [
        kind for kind in formats if any(_matches(kind.sign, _stripped(name, kind.prefixes)) for name in read.state)
    ]
    return signed or [kind for kind in formats if kind.sign is None] or list(formats)


def _closeness(fit: _Fit) -> tuple[bool, int]:
    return fit.is_whole, fit.known - len(fit.unexpected) - len(fit.missing)


def _check_head(read: Checkpoint, fit: _Fit, backbone: nn.Module, head: nn.Module | None) -> None:
    """Raise `CheckpointError` where weights of a head would compute something else than at their publisher."""
    if head is None or fit.kind.head is None or fit.kind.head_settings is None:
        return
    if not any(re.search(fit.kind.of_head, name) for name in fit.fitting):
        return
    wanted = fit.kind.head_settings(backbone)
    if any(getattr(head, name, value) != value for name, value in wanted.items()):
        settings = ", ".join(f"{name}={value}" for name, value in wanted.items())
        raise CheckpointError(
            f"{read.name or 'the checkpoint'}: the head of {fit.kind.name} computes with {settings}, this one does not:"
            f" set {settings} in cls_head. Nothing was loaded"
        )


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
    weights, hint = fit_positions(backbone, weights, views)
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
    of_classes = kind.of_head if kind.classes is None else kind.classes
    resized = tuple(entry for entry in shapes if re.search(of_classes, entry[0]) and _classes(entry))
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
        hint=hint,
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
