"""Labels in several groups, of which a clip may lack some: the annotations of `HVULoss`."""

from itertools import accumulate

import torch

from kinema.errors import SampleValueError
from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample, name_of


@TRANSFORMS.register_module()
class LoadHVULabel(BaseTransform):
    """Make labels by group one row of 0 and 1, with masks of what is annotated.

    Reads `categories` (names of the groups), `category_nums` (classes of each) and `label` (group ->
    class numbers of it; a group that is not there is not annotated). Writes `label` and `mask` (N,),
    `category_mask` (groups,), all float32.

    Raises:
        SampleValueError: the groups are not those of the first sample, or a label is none of its
            group's.
    """

    def __init__(self) -> None:
        self.groups: dict[str, int] = {}  # name -> number of classes, from the first sample

    def transform(self, results: Sample) -> Sample:
        groups = dict(zip(results["categories"], results["category_nums"], strict=True))
        self.groups = self.groups or groups
        if groups != self.groups:
            raise SampleValueError(
                f"LoadHVULabel: the groups {groups} are not those of the first sample, {self.groups}"
                f" ({name_of(results)})"
            )
        starts = dict(zip(groups, [0, *accumulate(groups.values())], strict=False))
        label, mask = torch.zeros(sum(groups.values())), torch.zeros(sum(groups.values()))
        category_mask = torch.tensor([float(name in results["label"]) for name in groups])
        for name, numbers in results["label"].items():
            if name not in groups or not all(0 <= number < groups[name] for number in numbers):
                raise SampleValueError(
                    f"LoadHVULabel: {numbers} of {name!r} are no labels of the groups {groups} ({name_of(results)})"
                )
            mask[starts[name] : starts[name] + groups[name]] = 1
            label[[starts[name] + number for number in numbers]] = 1
        results["label"], results["mask"], results["category_mask"] = label, mask, category_mask
        return results

    def __repr__(self) -> str:
        return f"{type(self).__name__}(hvu_initialized={bool(self.groups)})"
