"""Transforms made of transforms: by chance, one of several, or under other names of the keys."""

from collections.abc import Callable, Mapping, Sequence
from types import EllipsisType
from typing import Any

import numpy as np

from kinema.errors import SampleError
from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Compose

Step = Mapping[str, Any] | Callable[[Any], Any]


def compose(steps: Step | Sequence[Step]) -> Compose:
    """One transform, or several in a row, as a `Compose`."""
    return Compose(steps if isinstance(steps, Sequence) else [steps])


@TRANSFORMS.register_module()
class RandomApply(BaseTransform):
    """Run transforms with a probability, else leave the sample as it is.

    Args:
        transforms: one transform or several in a row, or their configs.
        prob: probability of running them.

    Raises:
        ValueError: `prob` is outside [0, 1].

    Draws one number from numpy's global generator before the transforms draw theirs.
    """

    def __init__(self, transforms: Step | Sequence[Step], prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f"RandomApply: prob must be within 0 and 1, got {prob}")
        self.transforms = compose(transforms)
        self.prob = prob

    def transform(self, results: Any) -> Any:
        return self.transforms(results) if np.random.rand() < self.prob else results

    def __repr__(self) -> str:
        return f"RandomApply(transforms={self.transforms}, prob={self.prob})"


@TRANSFORMS.register_module()
class RandomChoice(BaseTransform):
    """Run one of several transforms, or of several rows of them.

    Args:
        transforms: the choices; each is a transform, several in a row, or their configs.
        prob: probability of each choice; None: all alike.

    Raises:
        ValueError: no choices, or `prob` does not give each a share of 1.

    Draws one number from numpy's global generator before the transforms draw theirs.
    """

    def __init__(self, transforms: Sequence[Step | Sequence[Step]], prob: Sequence[float] | None = None) -> None:
        if not transforms:
            raise ValueError("RandomChoice: transforms must hold at least one choice")
        if prob is not None and (len(prob) != len(transforms) or min(prob) < 0 or not np.isclose(sum(prob), 1)):
            raise ValueError(
                f"RandomChoice: prob must give each of the {len(transforms)} choices a share, 1 in sum, got {prob!r}"
            )
        self.transforms = [compose(choice) for choice in transforms]
        self.prob = prob

    def transform(self, results: Any) -> Any:
        return self.transforms[np.random.choice(len(self.transforms), p=self.prob)](results)

    def __repr__(self) -> str:
        return f"RandomChoice(transforms={self.transforms}, prob={self.prob})"


KeyMap = str | EllipsisType | Sequence[Any] | Mapping[str, Any]


def gather_keys(sample: Mapping[str, Any], keys: KeyMap, *, allow_missing: bool) -> Any:
    """The values of `sample` in the structure of `keys`: a name stands for its value, `...` for nothing.

    Raises:
        SampleError: a key is not there, and `allow_missing` is False.
    """
    if isinstance(keys, Mapping):
        gathered = {name: gather_keys(sample, key, allow_missing=allow_missing) for name, key in keys.items()}
        return {name: value for name, value in gathered.items() if value is not ...}
    if isinstance(keys, str):
        if keys not in sample and not allow_missing:
            raise SampleError(
                f"KeyMapper needs the key {keys!r}, and the sample has {', '.join(map(str, sample)) or 'none'}: "
                "allow_nonexist_keys=True leaves out what is not there"
            )
        return sample.get(keys, ...)
    if isinstance(keys, EllipsisType):
        return ...
    return [gather_keys(sample, key, allow_missing=allow_missing) for key in keys]


def scatter_keys(values: Any, keys: KeyMap) -> dict[str, Any]:
    """The reverse of `gather_keys`: `values`, in the structure of `keys`, by key.

    Raises:
        SampleError: `values` does not have that structure.
    """
    if isinstance(keys, str):
        return {keys: values}
    if isinstance(keys, EllipsisType):
        return {}
    if isinstance(keys, Mapping):
        kept = {name: key for name, key in keys.items() if key is not ...}
        if not isinstance(values, Mapping) or not set(kept) <= set(values):
            raise SampleError(f"KeyMapper: remapping needs the keys {', '.join(kept)} after its transforms")
        pairs = [(values[name], key) for name, key in kept.items()]
    else:
        if not isinstance(values, Sequence) or len(values) != len(keys):
            raise SampleError(f"KeyMapper: remapping needs a sequence of {len(keys)} after its transforms")
        pairs = list(zip(values, keys, strict=True))
    return {name: value for names, key in pairs for name, value in scatter_keys(names, key).items()}


@TRANSFORMS.register_module()
class KeyMapper(BaseTransform):
    """Run transforms on keys of other names.

    Args:
        transforms: one transform or several in a row, or their configs.
        mapping: name that the transforms read -> key of the sample; `...` hides one. A list or dict
            of keys gathers them.
        remapping: name that the transforms wrote -> key of the sample; `...` drops it. Only these
            keys come back then.
        auto_remap: put back what `mapping` took, under the sample's own keys; None: when there is
            no `remapping`. Without either, all keys come back under the transforms' names.
        allow_nonexist_keys: leave out keys of `mapping` that the sample does not have.

    Raises:
        ValueError: `auto_remap` together with `remapping`.
        SampleError: a key that `mapping` or `remapping` names is not there.
    """

    def __init__(
        self,
        transforms: Step | Sequence[Step] | None = None,
        mapping: Mapping[str, Any] | None = None,
        remapping: Mapping[str, Any] | None = None,
        auto_remap: bool | None = None,
        allow_nonexist_keys: bool = False,
    ) -> None:
        if auto_remap and remapping:
            raise ValueError("KeyMapper: auto_remap=True takes the place of remapping: give one of them")
        self.transforms = compose(transforms or [])
        self.mapping = dict(mapping or {})
        self.auto_remap = remapping is None if auto_remap is None else auto_remap
        self.remapping = mapping if self.auto_remap else remapping
        self.allow_nonexist_keys = allow_nonexist_keys

    def transform(self, results: Any) -> Any:
        inner = dict(results)
        for name, key in self.mapping.items():
            if key is ...:
                inner.pop(name, None)
        inner.update(gather_keys(results, self.mapping, allow_missing=self.allow_nonexist_keys))
        inner = self.transforms(inner)
        if inner is None:
            return None
        if self.remapping is None:
            results.update(inner)
            return results
        remapping = self.remapping
        if self.auto_remap and self.allow_nonexist_keys:
            remapping = {name: key for name, key in remapping.items() if name in inner}
        results.update(scatter_keys(inner, remapping))
        return results

    def __repr__(self) -> str:
        return f"KeyMapper(transforms={self.transforms}, mapping={self.mapping}, remapping={self.remapping})"
