"""Transforms of images that are composed of other transforms, which may be of images or of clips."""

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from kinema.compat.parts.image_transforms.randomness import cache_random_params, cache_randomness
from kinema.compat.parts.image_transforms.registry import IMAGE_TRANSFORMS
from kinema.errors import SampleError
from kinema.transforms import BaseTransform

Step = Mapping[str, Any] | Callable[[Any], Any]


@IMAGE_TRANSFORMS.register_module()
class Compose(BaseTransform):
    """Run transforms one after the other; stop with None as soon as one returns None.

    Args:
        transforms: callables, or configs of transforms; or just one.

    Raises:
        TypeError: an entry is neither.
    """

    def __init__(self, transforms: Step | Sequence[Step]) -> None:
        self.transforms: list[Callable[[Any], Any]] = []
        for transform in transforms if isinstance(transforms, Sequence) else [transforms]:
            if isinstance(transform, Mapping):
                transform = IMAGE_TRANSFORMS.build(transform)
            if not callable(transform):
                raise TypeError(f"a transform must be a callable or a dict with 'type', got {transform!r}")
            self.transforms.append(transform)

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self.transforms)

    def transform(self, results: Any) -> Any:
        for transform in self.transforms:
            results = transform(results)
            if results is None:
                return None
        return results

    def __repr__(self) -> str:
        steps = "".join(f"\n    {transform}" for transform in self.transforms)
        return f"{type(self).__name__}({steps}\n)"


@IMAGE_TRANSFORMS.register_module()
class KeyMapper(BaseTransform):
    """Run transforms on keys of other names.

    Args:
        transforms: one transform or several in a row, or their configs.
        mapping: name that the transforms read -> key of the sample; `...` hides one. A list, tuple
            or dict of keys gathers them.
        remapping: name that the transforms wrote -> key of the sample; `...` drops it. Only these
            keys come back then. None: all of them come back under the transforms' names.
        auto_remap: put back what `mapping` took, under the sample's own keys. None: when there is
            no `remapping`.
        allow_nonexist_keys: leave out keys of `mapping` that are not there.

    Raises:
        ValueError: `auto_remap` together with `remapping`.
        SampleError: a key that `mapping` or `remapping` names is not there, or a transform rejects
            the sample.
    """

    def __init__(
        self,
        transforms: Step | Sequence[Step] | None = None,
        mapping: dict[str, Any] | None = None,
        remapping: dict[str, Any] | None = None,
        auto_remap: bool | None = None,
        allow_nonexist_keys: bool = False,
    ) -> None:
        self.transforms = Compose(transforms or [])
        self.mapping = mapping
        self.auto_remap = remapping is None if auto_remap is None else auto_remap
        if self.auto_remap and remapping is not None:
            raise ValueError("KeyMapper: auto_remap=True takes the place of remapping: give one of them")
        self.remapping = mapping if self.auto_remap else remapping
        self.allow_nonexist_keys = allow_nonexist_keys

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self.transforms)

    def _map_input(self, data: Any, mapping: Mapping[str, Any] | None) -> dict[str, Any]:
        """What the transforms get: the sample, and the values that `mapping` gathers."""
        inputs = dict(data)
        for name, keys in (mapping or {}).items():
            value = self._gathered(data, keys)
            if value is ...:
                inputs.pop(name, None)
            else:
                inputs[name] = value
        return inputs

    def _gathered(self, data: Any, keys: Any) -> Any:
        """The values in the structure of `keys`; `...` for what is hidden or not there."""
        if isinstance(keys, Mapping):
            pairs = {name: self._gathered(data, key) for name, key in keys.items()}
            return {name: value for name, value in pairs.items() if value is not ...}
        if isinstance(keys, list | tuple):
            return type(keys)(self._gathered(data, key) for key in keys)
        if keys is ... or (keys not in data and self.allow_nonexist_keys):
            return ...
        if keys not in data:
            raise SampleError(
                f"{type(self).__name__} needs the key {keys!r}, and the sample has"
                f" {', '.join(map(str, data)) or 'none'}: allow_nonexist_keys=True leaves out what is not there"
            )
        return data[keys]

    def _map_output(self, data: Any, remapping: Mapping[str, Any] | None) -> dict[str, Any]:
        """What comes back to the sample: all of it, or what `remapping` names."""
        return dict(data) if remapping is None else self._scattered(data, remapping)

    def _scattered(self, data: Any, keys: Any) -> dict[str, Any]:
        who = type(self).__name__
        if isinstance(keys, Mapping):
            if not isinstance(data, Mapping):
                raise SampleError(f"{who}: remapping needs a dict with {', '.join(keys)}, got {type(data).__name__}")
            kept = {name: key for name, key in keys.items() if key is not ...}
            if self.auto_remap and self.allow_nonexist_keys:
                kept = {name: key for name, key in kept.items() if name in data}
            if missing := [name for name in kept if name not in data]:
                raise SampleError(f"{who}: remapping needs the key {missing[0]!r} after the transforms")
            pairs = [(data[name], key) for name, key in kept.items()]
        elif isinstance(keys, list | tuple):
            if not isinstance(data, list | tuple) or len(data) != len(keys):
                raise SampleError(f"{who}: remapping needs a sequence of {len(keys)}, got {data!r:.60}")
            pairs = list(zip(data, keys, strict=True))
        else:
            return {} if keys is ... or data is ... else {keys: data}
        return {name: value for part, key in pairs for name, value in self._scattered(part, key).items()}

    def _apply_transforms(self, inputs: dict[str, Any]) -> Any:
        outputs = self.transforms(inputs)
        if outputs is None:
            raise SampleError(f"{type(self).__name__}: its transforms cannot reject a sample, and they did")
        return outputs

    def transform(self, results: Any) -> Any:
        inputs = self._map_input(results, self.mapping)
        outputs = self._apply_transforms(inputs)
        results.update(self._map_output(outputs, self.remapping))
        return results

    def _shown(self) -> str:
        return (
            f"transforms = {self.transforms}, mapping = {self.mapping}, remapping = {self.remapping},"
            f" auto_remap = {self.auto_remap}, allow_nonexist_keys = {self.allow_nonexist_keys}"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown()})"


@IMAGE_TRANSFORMS.register_module()
class TransformBroadcaster(KeyMapper):
    """Run transforms on each of several items of a sample: its images, say.

    Args:
        transforms: see `KeyMapper`, like the next four.
        mapping: names that the transforms read -> keys whose values are sequences, or lists of
            keys; each item is transformed for itself. None: all values are such sequences.
        remapping: see `KeyMapper`.
        auto_remap: see `KeyMapper`.
        allow_nonexist_keys: see `KeyMapper`.
        share_random_params: draw random numbers once for all items; see `cache_randomness`.
    """

    def __init__(
        self,
        transforms: Step | Sequence[Step],
        mapping: dict[str, Any] | None = None,
        remapping: dict[str, Any] | None = None,
        auto_remap: bool | None = None,
        allow_nonexist_keys: bool = False,
        share_random_params: bool = False,
    ) -> None:
        super().__init__(transforms, mapping, remapping, auto_remap, allow_nonexist_keys)
        self.share_random_params = share_random_params

    def scatter_sequence(self, data: dict[str, Any]) -> list[dict[str, Any]]:
        """One sample for each item.

        Raises:
            TypeError: a value is no sequence.
            ValueError: sequences of different lengths, or none.
        """
        keys = list(self.mapping or data)
        if not keys:
            raise ValueError("TransformBroadcaster: there is nothing to go over: no mapping, and an empty sample")
        for key in keys:
            if not isinstance(data[key], Sequence) or isinstance(data[key], str):
                raise TypeError(
                    f"TransformBroadcaster: {key!r} must be a sequence of items, got {type(data[key]).__name__}"
                )
        lengths = {key: len(data[key]) for key in keys}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"TransformBroadcaster: the sequences have different lengths: {lengths}")
        count = lengths[keys[0]]
        return [{**data, **{key: data[key][index] for key in keys}} for index in range(count)]

    def transform(self, results: Any) -> Any:
        items = self.scatter_sequence(self._map_input(results, self.mapping))
        with ExitStack() as stack:
            if self.share_random_params:
                stack.enter_context(cache_random_params(self.transforms))
            transformed = [self._apply_transforms(item) for item in items]
        outputs = {key: [item[key] for item in transformed] for key in (transformed[0] if transformed else ())}
        results.update(self._map_output(outputs, self.remapping))
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown()}, share_random_params = {self.share_random_params})"


@IMAGE_TRANSFORMS.register_module()
class RandomChoice(BaseTransform):
    """Run one of several transforms, or of several rows of them.

    Args:
        transforms: the choices; each is a transform, several in a row, or their configs.
        prob: probability of each choice; None: all alike.

    Raises:
        ValueError: `prob` does not give each choice a share of 1.

    Draws one number from numpy's global generator before the transforms draw theirs.
    """

    def __init__(self, transforms: Sequence[Step | Sequence[Step]], prob: Sequence[float] | None = None) -> None:
        shares_fit = prob is None or (len(prob) == len(transforms) and min(prob) >= 0 and np.isclose(sum(prob), 1))
        if not shares_fit:
            raise ValueError(
                f"RandomChoice: prob must give each of the {len(transforms)} choices a share, 1 in sum, got {prob!r}"
            )
        self.prob = prob
        self.transforms = [Compose(choice) for choice in transforms]

    def __iter__(self) -> Iterator[Compose]:
        return iter(self.transforms)

    @cache_randomness
    def random_pipeline_index(self) -> int:
        """Number of the choice that is drawn."""
        return np.random.choice(np.arange(len(self.transforms)), p=self.prob)

    def transform(self, results: Any) -> Any:
        return self.transforms[self.random_pipeline_index()](results)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(transforms = {self.transforms}prob = {self.prob})"  # as users know it


@IMAGE_TRANSFORMS.register_module()
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
        self.prob = prob
        self.transforms = Compose(transforms)

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self.transforms)

    @cache_randomness
    def random_apply(self) -> bool:
        """Whether to run the transforms this time."""
        return np.random.rand() < self.prob

    def transform(self, results: Any) -> Any:
        return self.transforms(results) if self.random_apply() else results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(transforms = {self.transforms}, prob = {self.prob})"


# ---- one sample, prepared in several ways


@IMAGE_TRANSFORMS.register_module()
class TestTimeAug(BaseTransform):
    """Prepare a sample in several ways, all combinations of the given choices.

    Args:
        transforms: one list a place in the pipeline, with the choices there.

    Attributes:
        subroutines: the combinations, each a `Compose`.

    Gives a dict with, for each key of the samples, the list of their values.
    """

    __test__ = False  # no test class of pytest's

    def __init__(self, transforms: Sequence[Sequence[Step]]) -> None:
        places: list[list[Any]] = [
            [IMAGE_TRANSFORMS.build(step) if isinstance(step, Mapping) else step for step in choices]
            for choices in transforms
        ]
        self.subroutines = [Compose(steps) for steps in itertools.product(*places)]

    def transform(self, results: Any) -> Any:
        """Raises a SampleError when one of the ways rejects the sample."""
        samples = []
        for subroutine in self.subroutines:
            sample = subroutine(copy.deepcopy(results))
            if sample is None:
                raise SampleError(f"TestTimeAug: a sample cannot be rejected, and this did: {subroutine}")
            samples.append(sample)
        return {key: [sample[key] for sample in samples] for key in samples[0]}

    def __repr__(self) -> str:
        ways = "".join(f"{subroutine}\n" for subroutine in self.subroutines)
        return f"{type(self).__name__}transforms=\n{ways}"  # as users know it


@IMAGE_TRANSFORMS.register_module()
class MultiScaleFlipAug(BaseTransform):
    """Prepare an image in several sizes, and mirrored.

    Args:
        transforms: what follows; ends with a transform that gives `inputs` and `data_sample`.
        scales: (W, H) of the sizes, or one of them; or
        scale_factor: factors of the image's size, or one of them.
        allow_flip: also mirrored.
        flip_direction: see `RandomFlip`; one or several.
        resize_cfg: the transform that resizes.
        flip_cfg: the transform that mirrors.

    Raises:
        TypeError: a size or a direction of another kind.

    Gives `inputs` and `data_sample`, lists of those of all ways.
    """

    def __init__(
        self,
        transforms: Sequence[Step],
        scales: tuple[int, int] | list[tuple[int, int]] | None = None,
        scale_factor: float | list[float] | None = None,
        allow_flip: bool = False,
        flip_direction: str | list[str] = "horizontal",
        resize_cfg: dict[str, Any] | None = None,
        flip_cfg: dict[str, Any] | None = None,
    ) -> None:
        self.transforms = Compose(transforms)
        if scales is not None:
            self.scales: list[Any] = scales if isinstance(scales, list) else [scales]
            self.scale_key = "scale"
            if not all(isinstance(scale, tuple) for scale in self.scales):
                raise TypeError(f"MultiScaleFlipAug: scales must be tuples (W, H), got {scales!r}")
        else:
            factor = 1.0 if scale_factor is None else scale_factor
            self.scales = factor if isinstance(factor, list) else [factor]
            self.scale_key = "scale_factor"
        self.allow_flip = allow_flip
        self.flip_direction = flip_direction if isinstance(flip_direction, list) else [flip_direction]
        if not all(isinstance(direction, str) for direction in self.flip_direction):
            raise TypeError(f"MultiScaleFlipAug: flip_direction must be names, got {flip_direction!r}")
        self.resize_cfg = {"type": "Resize", "keep_ratio": True} if resize_cfg is None else resize_cfg.copy()
        self.flip_cfg = {"type": "RandomFlip"} if flip_cfg is None else flip_cfg

    def transform(self, results: Any) -> Any:
        mirrors: list[str | None] = [None, *self.flip_direction] if self.allow_flip else [None]
        packed = []
        for scale, direction in itertools.product(self.scales, mirrors):
            steps = [{**self.resize_cfg, self.scale_key: scale}]
            if direction is not None:
                steps.append({**self.flip_cfg, "prob": 1.0, "direction": direction})
            sample = {**results, "flip": False, "flip_direction": None} if direction is None else dict(results)
            packed.append(self.transforms(Compose(steps)(sample)))
        return {key: [sample[key] for sample in packed] for key in ("inputs", "data_sample")}

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(transforms={self.transforms}, scales={self.scales}, allow_flip={self.allow_flip},"
            f" flip_direction={self.flip_direction})"
        )
