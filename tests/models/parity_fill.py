"""The same weights and inputs on any machine and in any implementation, for comparing two of them."""

import math
import zlib

import numpy as np
import torch


def values_for(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 array of `shape` that belongs to the tensor called `name`: the generator's seed is the name's CRC."""
    rng = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    noise = rng.standard_normal(shape).astype(np.float32) if shape else np.float32(rng.standard_normal())
    if name.endswith("running_var"):
        return 1.0 + 0.1 * np.abs(noise)
    if name.endswith("running_mean"):
        return 0.1 * noise
    if len(shape) <= 1:
        return 1.0 + 0.1 * noise if name.endswith("weight") else 0.1 * noise
    fan_in = math.prod(shape[1:])
    return noise / np.float32(math.sqrt(fan_in))


@torch.no_grad()
def fill_state(state: dict[str, torch.Tensor]) -> None:
    """Overwrite every floating-point tensor of a state dict in place; integers stay."""
    for name, tensor in state.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(np.asarray(values_for(name, tuple(tensor.shape)))))


def fixed_input(shape: list[int]) -> np.ndarray:
    """The float32 input of `shape` for which the fixtures hold the original's scores."""
    return np.random.RandomState(0).standard_normal(tuple(shape)).astype(np.float32)
