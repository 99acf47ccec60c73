"""The number format of the forward pass: float32, or automatic mixed precision."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from kinema.errors import ConfigError

Format = Literal["auto", "fp32", "bf16", "fp16"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Automatic mixed precision; fp16 scales the loss so that small gradients are not lost.

    Args:
        name: "fp32", "bf16", "fp16", or "auto": bf16 where the GPU computes in it, fp16 on other
            CUDA GPUs, fp32 elsewhere.
        device: where the model is.
        scaler: settings of `torch.amp.GradScaler` for fp16, such as `dict(init_scale=512.0)`.

    Raises:
        ConfigError: no such format.
    """

    def __init__(
        self, name: Format = "fp32", device: torch.device | str = "cpu", *, scaler: Mapping[str, Any] | None = None
    ) -> None:
        if name not in ("auto", *DTYPES):
            raise ConfigError(f"precision must be auto, {', '.join(DTYPES)}, got {name!r}")
        self.device_type = torch.device(device).type
        self.name = _best_of(torch.device(device)) if name == "auto" else name
        self.dtype = DTYPES[self.name]
        self.scaler = torch.amp.GradScaler(self.device_type, **dict(scaler or {})) if self.name == "fp16" else None

    def autocast(self) -> AbstractContextManager[Any]:
        """Around the forward pass and the losses."""
        return nullcontext() if self.name == "fp32" else torch.autocast(self.device_type, self.dtype)

    def backward(self, loss: Tensor, **options: Any) -> None:
        """Add the gradients of `loss`, scaled where the format needs it."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward(**options)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the gradients those of the unscaled loss, for clipping."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer, **options: Any) -> None:
        """Update; fp16 leaves an update out whose gradients are not finite, and scales less from then on."""
        if self.scaler is None:
            optimizer.step(**options)
            return
        self.scaler.step(optimizer, **options)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The state of the scaler."""
        return {} if self.scaler is None else self.scaler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict()` back; one of another format is left out."""
        if self.scaler is not None and state:
            self.scaler.load_state_dict(dict(state))


def _best_of(device: torch.device) -> Literal["fp32", "bf16", "fp16"]:
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
