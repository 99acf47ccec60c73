"""What backbones share: the weights that they start from, what training leaves alone, and stages.

Other modules of `kinema.models.backbones` build stems and stages; `StagedNetwork` runs them.
"""

import os
from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from kinema.checkpoints.file_formats import FileFormat, format_of, load_whole
from kinema.checkpoints.pretrained import load_backbone
from kinema.checkpoints.reading import read_checkpoint
from kinema.errors import ConfigError
from kinema.models.base import BaseModule
from kinema.models.features import TokenMaps
from kinema.models.init import InitCfg
from kinema.models.init_report import InitReport
from kinema.models.layers import arrange, fix_batch_norms, freeze
from kinema.models.layers.inputs import check_clips, check_frames
from kinema.models.layers.positions import PositionTable
from kinema.models.layers.settings import check_sizes


class Backbone(BaseModule, ABC):
    """A network that may start from weights and keep some of them.

    A subclass that has frozen stages defines `parts_by_stage`, and calls `hold` where its
    constructor ends.

    Args:
        init_cfg: see `BaseModule`.
        pretrained: checkpoint that `init_weights` loads: a file, folder or address.
        from_images: it holds an image network, whose weights are fitted to this one.
        frozen_stages: the stem (0) and this many stages are not trained; -1: everything is.
        norm_eval: batch norms use and keep their running statistics in training.
        bn_frozen: under `norm_eval`, their weights and biases are not trained either.

    Attributes:
        file_formats: files of other publishers that hold its weights under other names. They are read
            in full, or refused.
        branch: key of such a file that holds the weights; None: the one that its format prefers.
        interpolate_positions: tables of positions in files that are for clips of another size are fitted.
        unit_range: it takes values from 0 to 1, not normalised ones; a recognizer checks its preprocessor.

    Raises:
        ConfigError: `pretrained` is no path or address, or `frozen_stages` no whole number from -1
            or more than there are.
    """

    file_formats: ClassVar[tuple[FileFormat, ...]] = ()
    branch: str | None = None
    unit_range: ClassVar[bool] = False
    interpolate_positions: bool = False

    def __init__(
        self,
        init_cfg: InitCfg | None = None,
        *,
        pretrained: str | os.PathLike[str] | None = None,
        from_images: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        bn_frozen: bool = False,
    ) -> None:
        super().__init__(init_cfg)
        check_sizes(type(self).__name__, lowest=-1, frozen_stages=frozen_stages)
        self.pretrained = self._address(pretrained)
        self.from_images = from_images
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.bn_frozen = bn_frozen

    def __call__(self, x: Tensor, *args: Any, **settings: Any) -> Any:
        """Compute on `x` in the layout in memory that is fastest for this network."""
        return super().__call__(arrange(x, self), *args, **settings)

    def _address(self, pretrained: Any) -> str | None:
        if not isinstance(pretrained, str | os.PathLike | None):
            raise ConfigError(
                f"pretrained of {type(self).__name__} must be a file, folder or address of weights, or None, got"
                f" {pretrained!r}"
            )
        return None if pretrained is None else os.fspath(pretrained)

    def init_weights(self, pretrained: str | os.PathLike[str] | None = None) -> None:
        """Initialise as `BaseModule.init_weights`, then load weights.

        Args:
            pretrained: replaces the `pretrained` of the constructor.

        Raises:
            ConfigError: it is no path or address.
            CheckpointError: see `load_pretrained`.
        """
        if pretrained is not None:
            self.pretrained = self._address(pretrained)
        super().init_weights()

    def _init_weights(self, report: InitReport) -> None:
        super()._init_weights(report)
        if self.pretrained:
            self.load_pretrained(self.pretrained)
            report.credit(self, f"loaded from {self.pretrained}")

    def load_pretrained(self, path: str) -> None:
        """Load the weights at `path`; those of an image network are fitted to this one.

        Raises:
            CheckpointError: there is no such file, or nothing in it fits, or not all of it where it is of
                one of `file_formats`.
        """
        read = read_checkpoint(path)
        kind = format_of(read, self.file_formats, self)
        if kind is not None:
            load_whole(read, [kind], self, branch=self.branch)
        else:
            load_backbone(self, read, is_image_network=self.from_images)

    def position_tables(self) -> dict[str, PositionTable]:
        """Its trained tables of positions, by their names, and how others become these."""
        return {}

    def token_maps(self) -> TokenMaps | None:
        """Where the tokens of its blocks lie; None: it has none, or gives maps of places that count alike."""
        return None

    def parts_by_stage(self) -> Sequence[Sequence[nn.Module]]:
        """What `frozen_stages` counts: the modules of the stem, then those of each stage."""
        return []

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        parts = self.parts_by_stage()
        if self.frozen_stages >= len(parts):
            raise ConfigError(
                f"frozen_stages of {type(self).__name__} must be from -1 to {len(parts) - 1}, got {self.frozen_stages}"
            )
        freeze(chain(*parts[: self.frozen_stages + 1]))

    def hold(self) -> None:
        """Put frozen stages, and under `norm_eval` batch norms, into evaluation mode."""
        self._freeze_stages()
        if self.training and self.norm_eval:
            fix_batch_norms(self, freeze_parameters=self.bn_frozen)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen stages, and norms under `norm_eval`, stay in evaluation mode."""
        super().train(mode)
        self.hold()
        return self


class StagedNetwork(Backbone):
    """Stem, pooling and stages, one after another; gives what some of the stages give.

    Its children, and so the names in state dicts, are `conv1`, `maxpool`, `pool2` and the stages
    under their names.

    Args:
        stem: the first convolution.
        stages: name -> module, in the order in which they are applied.
        widths: channels that each stage gives.
        out_indices: stages, from 0, whose output is returned: one tensor, or a tuple of several.
        in_channels: channels of the input.
        takes_clips: the input is (B, C, T, H, W), not (B, C, H, W).
        maxpool: follows the stem.
        pool2: follows the first stage.
        with_pool1: `maxpool` is applied.
        with_pool2: `pool2` is applied.
        partial_bn: in training, the 2D batch norms of the stages use and keep their running
            statistics, and their weights are not trained.
        **start: arguments of `Backbone`.

    Attributes:
        out_channels: channels of the output; a tuple where `forward` returns one.
        res_layers: names of the stages.
    """

    def __init__(
        self,
        stem: nn.Module,
        stages: Mapping[str, nn.Module],
        *,
        widths: Sequence[int],
        out_indices: Sequence[int],
        in_channels: int = 3,
        takes_clips: bool = False,
        maxpool: nn.Module | None = None,
        pool2: nn.Module | None = None,
        with_pool1: bool = True,
        with_pool2: bool = False,
        partial_bn: bool = False,
        **start: Any,
    ) -> None:
        super().__init__(**start)
        self.in_channels = in_channels
        self.takes_clips = takes_clips
        self.out_indices = tuple(out_indices)
        self.with_pool1 = with_pool1
        self.with_pool2 = with_pool2
        self.partial_bn = partial_bn
        self.num_stages = len(stages)
        self.res_layers = list(stages)
        self.conv1 = stem
        if maxpool is not None:
            self.maxpool = maxpool
        if pool2 is not None:
            self.pool2 = pool2
        for name, stage in stages.items():
            self.add_module(name, stage)
        self.widths = tuple(widths)
        given = tuple(self.widths[index] for index in sorted(self.out_indices))
        self.out_channels: int | tuple[int, ...] = given[0] if len(given) == 1 else given
        self.hold()

    def stem(self, x: Tensor) -> Tensor:
        """Input of the network -> input of the first stage."""
        x = self.conv1(x)
        return self.maxpool(x) if self.with_pool1 else x

    def run_stages(self, x: Tensor, after_first: Callable[[Tensor], Tensor] | None = None) -> Any:
        """Input of the first stage -> output of the network; `after_first` follows that stage."""
        outs = []
        for stage, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if stage == 0 and after_first is not None:
                x = after_first(x)
            if stage in self.out_indices:
                outs.append(x)
        return outs[0] if len(outs) == 1 else tuple(outs)

    def forward(self, x: Tensor) -> Any:
        check = check_clips if self.takes_clips else check_frames
        check(x, self.in_channels, type(self).__name__)
        x = self.stem(x)
        return self.run_stages(x, self.pool2 if self.with_pool2 else None)

    def parts_by_stage(self) -> list[list[nn.Module]]:
        """The stem, then each stage."""
        return [[self.conv1], *([self.get_submodule(name)] for name in self.res_layers)]

    def train(self, mode: bool = True) -> Self:
        """Set the mode, except for what training leaves alone, also by `partial_bn`."""
        super().train(mode)
        if mode and self.partial_bn:
            for name in self.res_layers:
                fix_batch_norms(self.get_submodule(name), freeze_parameters=True, kind=nn.BatchNorm2d)
        return self


def keep_arguments(network: nn.Module, arguments: Any) -> None:
    """Set the arguments that `network` has no attribute for, as OpenMMLab's networks do.

    Args:
        network: is changed in place.
        arguments: a named tuple.
    """
    for name, value in arguments._asdict().items():
        if not hasattr(network, name):
            setattr(network, name, value)
