"""Search for the receptive fields of convolutions, by trying several dilations side by side.

Source: RF-Next, Gao et al. 2022, arXiv:2206.06637; the names and the arithmetic of dilations are MMCV's.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.files import write_text
from kinema.hooks.hook import Hook
from kinema.models.wrappers import unwrapped
from kinema.registry import HOOKS
from kinema.training.run import Run

logger = logging.getLogger("kinema")

Dilation = tuple[int, int]


def expand_rates(dilation: Sequence[int], config: Mapping[str, Any]) -> list[Dilation]:
    """Dilations around one: smaller and larger by the share `exp_rate`, from `mmin` to `mmax`.

    Args:
        dilation: (rows, columns), which is among them where `num_branches` is odd.
        config: `exp_rate`, `num_branches`, `mmin`, `mmax`.

    Returns:
        Each once, from small to large.
    """

    def scaled(factor: float) -> Dilation:
        rows, columns = (min(max(round(factor * rate), config["mmin"]), config["mmax"]) for rate in dilation)
        return rows, columns

    half = config["num_branches"] // 2
    middle = [(dilation[0], dilation[1])] * (config["num_branches"] % 2)
    around = [scaled(1 - config["exp_rate"])] * half + middle + [scaled(1 + config["exp_rate"])] * half
    return list(dict.fromkeys(around))


def get_single_padding(kernel_size: int, stride: int = 1, dilation: int = 1) -> int:
    """Zeros at each side with which a convolution keeps the size, divided by its stride."""
    return (stride - 1 + dilation * (kernel_size - 1)) // 2


class BaseConvRFSearchOp(nn.Module):
    """A convolution that is searched for.

    Args:
        op_layer: the convolution.
        global_config: settings of the search.
    """

    def __init__(self, op_layer: nn.Module, global_config: Mapping[str, Any]) -> None:
        super().__init__()
        self.op_layer = op_layer
        self.global_config = global_config

    def normlize(self, weights: Tensor) -> Tensor:
        """Shares of absolute values."""
        return weights.abs() / weights.abs().sum()


class Conv2dRFSearchOp(BaseConvRFSearchOp):
    """A convolution with one weight at several dilations, whose outputs are added by learned shares.

    Args:
        op_layer: the convolution.
        global_config: `num_branches` (2 or 3), `exp_rate`, `mmin`, `mmax`, `init_alphas`.
        verbose: log the dilations.

    Raises:
        ConfigError: another number of branches.
    """

    op_layer: nn.Conv2d

    def __init__(self, op_layer: nn.Conv2d, global_config: Mapping[str, Any], verbose: bool = True) -> None:
        super().__init__(op_layer, global_config)
        self.num_branches = global_config["num_branches"]
        if self.num_branches not in (2, 3):
            raise ConfigError(f"num_branches of a receptive field search must be 2 or 3, got {self.num_branches}")
        self.verbose = verbose
        self.branch_weights = nn.Parameter(torch.empty(self.num_branches))
        self.expand_rates()

    def expand_rates(self) -> None:
        """Try dilations around that of the convolution, each with the same share."""
        now = self.op_layer.dilation
        rates = expand_rates(now, self.global_config)
        for axis, size in enumerate(self.op_layer.kernel_size):
            if size == 1 or size % 2 == 0:  # of no effect, or not centred
                rates = [(now[0], rate[1]) if axis == 0 else (rate[0], now[1]) for rate in rates]
        self.dilation_rates: list[Dilation] = rates
        self._say(f"Expand as {rates}")
        nn.init.constant_(self.branch_weights, self.global_config["init_alphas"])

    def estimate_rates(self) -> None:
        """Take the mean of the dilations by their shares for the convolution's."""
        shares = self._shares().tolist()
        self._say(f"Estimate dilation {self.dilation_rates} with weight {shares}.")
        low, high = self.global_config["mmin"], self.global_config["mmax"]
        means = [
            sum(share * rate[axis] for share, rate in zip(shares, self.dilation_rates, strict=True)) / sum(shares)
            for axis in (0, 1)
        ]
        rows, columns = (min(max(round(mean), low), high) for mean in means)
        self.op_layer.dilation = (rows, columns)
        self.op_layer.padding = self.get_padding(self.op_layer.dilation)
        self.dilation_rates = [(rows, columns)]
        self._say(f"Estimate as {(rows, columns)}")

    def get_padding(self, dilation: Sequence[int]) -> tuple[int, int]:
        """With which the output has the size of that of another dilation."""
        rows, columns = zip(self.op_layer.kernel_size, self.op_layer.stride, dilation, strict=True)
        return get_single_padding(*rows), get_single_padding(*columns)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> the sum of the branches, of the same size as the convolution's output."""
        conv = self.op_layer
        outputs = [
            F.conv2d(input, conv.weight, conv.bias, conv.stride, self.get_padding(rate), rate, conv.groups)
            for rate in self.dilation_rates
        ]
        if len(outputs) == 1:
            return outputs[0]
        return torch.stack([share * output for share, output in zip(self._shares(), outputs, strict=True)]).sum(0)

    def _shares(self) -> Tensor:
        return self.normlize(self.branch_weights[: len(self.dilation_rates)])

    def _say(self, text: str) -> None:
        if self.verbose:
            logger.info("%s", text)


@HOOKS.register_module()
class RFSearchHook(Hook):
    """Search for dilations of a model's 2D convolutions while it trains, or use those of a search.

    Call `init_model(model)` before the optimizer is built: it changes the convolutions.

    Args:
        mode: "search"; "fixed_single_branch" uses the dilations of `rfstructure_file`;
            "fixed_multi_branch" also trains branches around them.
        config: `search` with `step`, `max_step`, `search_interval`, `exp_rate`, `init_alphas`,
            `mmin`, `mmax`, `num_branches` and `skip_layer` (parts of names to leave out, or None).
        rfstructure_file: JSON file of a search, `local_search_config_stepN.json`.
        by_epoch: count epochs; False: steps.
        verbose: log what changes.

    Raises:
        ConfigError: another mode, or settings of the search are missing.
    """

    def __init__(
        self,
        mode: Literal["search", "fixed_single_branch", "fixed_multi_branch"] = "search",
        config: Mapping[str, Any] | None = None,
        rfstructure_file: str | None = None,
        by_epoch: bool = True,
        verbose: bool = True,
    ) -> None:
        if mode not in ("search", "fixed_single_branch", "fixed_multi_branch"):
            raise ConfigError(
                f"mode of RFSearchHook must be search, fixed_single_branch or fixed_multi_branch, got {mode!r}"
            )
        if "search" not in (config or {}):
            raise ConfigError("RFSearchHook needs config=dict(search=dict(step=0, max_step=..., ...))")
        self.config = {**(config or {}), "structure": {}}
        self.config["search"] = dict(self.config["search"])
        if rfstructure_file is not None:
            self.config["structure"] = json.loads(Path(rfstructure_file).read_text(encoding="utf-8"))["structure"]
        self.mode = mode
        self.num_branches = self.config["search"]["num_branches"]
        self.by_epoch = by_epoch
        self.verbose = verbose

    def init_model(self, model: nn.Module) -> None:
        """Give the convolutions their dilations, and branches where they are searched for."""
        if self.config["structure"] or self.mode != "search":
            self.set_model(model)
        if self.mode != "fixed_single_branch":
            self.wrap_model(model)

    def after_train_epoch(self, runner: Run) -> None:
        """Search, by epochs."""
        if self.by_epoch and self.mode == "search":
            self.step(unwrapped(runner.model), runner.work_dir)

    def after_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Search, by steps."""
        if not self.by_epoch and self.mode == "search":
            self.step(unwrapped(runner.model), runner.work_dir)

    def step(self, model: nn.Module, work_dir: str | Path) -> None:
        """Count; every `search_interval` until `max_step`, move the dilations and write them down."""
        search = self.config["search"]
        search["step"] += 1
        if search["step"] % search["search_interval"] != 0 or search["step"] >= search["max_step"]:
            return
        self.estimate_and_expand(model)
        searched = {name: part for name, part in model.named_modules() if isinstance(part, Conv2dRFSearchOp)}
        self.config["structure"].update({name: part.op_layer.dilation for name, part in searched.items()})
        file = Path(work_dir) / f"local_search_config_step{search['step']}.json"
        write_text(file, json.dumps(self.config))

    def estimate_and_expand(self, model: nn.Module) -> None:
        """Take the mean dilation of each convolution, and try others around it."""
        for module in model.modules():
            if isinstance(module, Conv2dRFSearchOp):
                module.estimate_rates()
                module.expand_rates()

    def wrap_model(self, model: nn.Module, prefix: str = "") -> None:
        """Give each convolution branches."""
        for parent, name, conv in self._convolutions(model, prefix or "module"):
            wrapped = Conv2dRFSearchOp(conv, self.config["search"], self.verbose).to(conv.weight.device)
            setattr(parent, name.rpartition(".")[2], wrapped)

    def set_model(self, model: nn.Module, prefix: str = "") -> None:
        """Give each convolution the dilation of `structure`."""
        for _, name, conv in self._convolutions(model, prefix or "module"):
            structure = self.config["structure"]
            given = structure.get(name, structure.get(name.removeprefix("module.")))
            if given is None:
                raise ConfigError(f"rfstructure_file has no dilation of {name}")
            rows, columns = (given, given) if isinstance(given, int) else given
            conv.dilation = (rows, columns)
            sizes = zip(conv.kernel_size, conv.stride, conv.dilation, strict=True)
            conv.padding = tuple(get_single_padding(*size) for size in sizes)

    def _convolutions(self, model: nn.Module, prefix: str) -> list[tuple[nn.Module, str, nn.Conv2d]]:
        """Parent, name and module of the convolutions whose dilation matters."""
        searched: list[tuple[nn.Module, str, nn.Conv2d]] = []
        for name, module in model.named_children():
            full_name = f"{prefix}.{name}"
            if any(part in full_name for part in self.config["search"].get("skip_layer") or ()):
                continue
            if isinstance(module, nn.Conv2d):
                if any(size > 1 and size % 2 for size in module.kernel_size):
                    searched.append((model, full_name, module))
            elif not isinstance(module, BaseConvRFSearchOp):
                searched += self._convolutions(module, full_name)
        return searched
