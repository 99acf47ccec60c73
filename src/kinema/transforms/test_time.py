"""Several samples out of one: the same video, prepared in several ways, for test-time augmentation."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform
from kinema.transforms.composing import Step, compose


@TRANSFORMS.register_module()
class TestTimeAug(BaseTransform):
    """Prepare a sample in several ways, all combinations of the given choices.

    A `BaseTTAModel` predicts each of them and merges what comes out.

    Args:
        transforms: one list a place in the pipeline, with the choices there: transforms, several in
            a row, or their configs. Two choices of scale, two of mirroring and one of packing give
            four samples.

    Raises:
        ValueError: there is no place, or one has no choice.

    Gives a dict with, for each key of the samples, the list of their values. A sample that one of
    the ways rejects (None) is rejected.
    """

    __test__ = False  # no test class of pytest's

    def __init__(self, transforms: Sequence[Sequence[Step | Sequence[Step]]]) -> None:
        if not transforms or not all(isinstance(choices, Sequence) and choices for choices in transforms):
            raise ValueError(
                "TestTimeAug: transforms must be a list of places, each a list of at least one choice, got"
                f" {transforms!r}"
            )
        places = [[compose(choice) for choice in choices] for choices in transforms]
        self.subroutines = [compose(list(steps)) for steps in product(*places)]

    def transform(self, results: Any) -> Any:
        samples = [subroutine(_copied(results)) for subroutine in self.subroutines]
        if any(sample is None for sample in samples):
            return None
        return {key: [sample[key] for sample in samples] for key in samples[0]}

    def __repr__(self) -> str:
        return f"TestTimeAug(subroutines={self.subroutines})"


def _copied(value: Any) -> Any:
    """Containers that transforms change, copied; arrays are shared, for transforms make new ones."""
    if isinstance(value, Mapping):
        return type(value)({key: _copied(entry) for key, entry in value.items()})  # type: ignore[call-arg]
    return list(value) if type(value) is list else value
