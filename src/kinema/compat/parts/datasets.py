"""MMAction2's base of datasets that users write, and MMEngine's start of a worker."""

import os
import random
import warnings
from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from kinema.arguments import takes_arguments_of
from kinema.datasets import AudioDataset, RawframeDataset, VideoDataset
from kinema.datasets.base import BaseDataset
from kinema.datasets.labelled import LabelledDataset
from kinema.datasets.storage.columns import ColumnSamples
from kinema.registry import DATASETS


def build_dataset(cfg: Mapping[str, Any], default_args: Mapping[str, Any] | None = None) -> Any:
    """The dataset that a config describes.

    Args:
        cfg: with `type`, a name or a class.
        default_args: for what `cfg` does not say.
    """
    return DATASETS.build({**(default_args or {}), **cfg})


def get_type(transform: Mapping[str, Any] | Callable[..., Any]) -> Any:
    """The `type` of a transform's config, or the name of a transform as its repr begins.

    Raises:
        TypeError: it is neither a config nor callable.
    """
    if isinstance(transform, Mapping) and "type" in transform:
        return transform["type"]
    if not callable(transform):
        raise TypeError(f"a transform or its config is expected, got {transform!r}")
    return repr(transform).partition("(")[0]


class BaseActionDataset(LabelledDataset, metaclass=ABCMeta):
    """A dataset of clips whose subclass overrides `load_data_list()`.

    It gets what the transforms need of every sample.

    Each sample gets `modality` and `start_index`; with `multi_class` the class indices in its
    `label` become (N,) float32 of 0 and 1.

    Args:
        ann_file: see `BaseDataset`.
        pipeline: transforms, or configs of transforms.
        data_prefix: folders of the samples' files by kind.
        test_mode: see `BaseDataset`.
        multi_class: a clip may have several labels.
        num_classes: number of classes N, for `multi_class`.
        start_index: number of the first frame.
        modality: "RGB", "Flow", "Pose" or "Audio".
        **settings: further arguments of `BaseDataset`.

    Raises:
        ValueError: `multi_class` without `num_classes`.
    """

    @takes_arguments_of(BaseDataset)
    def __init__(
        self,
        ann_file: str | os.PathLike,
        pipeline: Sequence[Mapping[str, Any] | Callable[[Any], Any]],
        data_prefix: Mapping[str, Any] | None = None,
        test_mode: bool = False,
        multi_class: bool = False,
        num_classes: int | None = None,
        start_index: int = 0,
        modality: str = "RGB",
        **settings: Any,
    ) -> None:
        if multi_class and num_classes is None:
            raise ValueError(f"{type(self).__name__}: multi_class=True needs num_classes")
        super().__init__(
            ann_file,
            data_prefix={"prefix": ""} if data_prefix is None else data_prefix,
            pipeline=pipeline,
            test_mode=test_mode,
            multi_class=multi_class,
            num_classes=num_classes,
            start_index=start_index,
            modality=modality,
            **settings,
        )

    def get_data_info(self, idx: int) -> dict[str, Any]:
        return super().get_data_info(idx) | self.common_info()

    def load_data_list(self) -> list[dict[str, Any]] | ColumnSamples:
        """See `BaseDataset`, unless a subclass overrides it."""
        return BaseDataset.load_data_list(self)


for _dataset in (AudioDataset, RawframeDataset, VideoDataset):  # as there, but for the methods
    BaseActionDataset.register(_dataset)


def worker_init_fn(
    worker_id: int, num_workers: int, rank: int, seed: int, disable_subprocess_warning: bool = False
) -> None:
    """Seed the generators of Python, numpy and torch in a loader's worker: by `num_workers * rank + worker_id + seed`.

    Args:
        worker_id: number of the worker in its process.
        num_workers: of each process.
        rank: number of the process.
        seed: of the run.
        disable_subprocess_warning: hide all warnings of workers other than the first.
    """
    own = num_workers * rank + worker_id + seed
    np.random.seed(own)
    random.seed(own)
    torch.manual_seed(own)
    if disable_subprocess_warning and worker_id != 0:
        warnings.simplefilter("ignore")
