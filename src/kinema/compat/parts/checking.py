"""Assertions of `mmengine.testing` and `mmaction.testing`; they return whether it holds."""

import runpy
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def assert_dict_contains_subset(dict_obj: Mapping[Any, Any], expected_subset: Mapping[Any, Any]) -> bool:
    """Whether `dict_obj` has all items of `expected_subset`."""
    return all(key in dict_obj and dict_obj[key] == value for key, value in expected_subset.items())


def assert_dict_has_keys(obj: Mapping[str, Any], expected_keys: Iterable[str]) -> bool:
    """Whether `obj` has all the keys."""
    return set(expected_keys).issubset(obj)


def assert_keys_equal(result_keys: Iterable[str], target_keys: Iterable[str]) -> bool:
    """Whether both have the same keys, in any order."""
    return set(result_keys) == set(target_keys)


def assert_attrs_equal(obj: Any, expected_attrs: Mapping[str, Any]) -> bool:
    """Whether `obj` has the attributes, of those values."""
    return all(hasattr(obj, name) and getattr(obj, name) == value for name, value in expected_attrs.items())


def assert_params_all_zeros(module: nn.Module) -> bool:
    """Whether weight and bias of the layer are all zero."""
    parameters = [getattr(module, name, None) for name in ("weight", "bias")]
    return all(values is None or not bool(values.any()) for values in parameters)


def assert_is_norm_layer(module: nn.Module) -> bool:
    """Whether the layer normalises by batch, group, instance or layer."""
    return isinstance(module, _BatchNorm | nn.modules.instancenorm._InstanceNorm | nn.GroupNorm | nn.LayerNorm)


def check_norm_state(modules: Iterable[nn.Module], train_state: bool) -> bool:
    """Whether all batch normalisation layers among `modules` are in training mode (`train_state` True) or not."""
    return all(module.training == train_state for module in modules if isinstance(module, _BatchNorm))


def generate_backbone_demo_inputs(input_shape: Sequence[int] = (1, 3, 64, 64)) -> torch.Tensor:
    """Random float32 numbers in [0, 1) of that shape, from numpy's global generator."""
    return torch.from_numpy(np.random.random(tuple(input_shape)).astype(np.float32))


def generate_recognizer_demo_inputs(
    input_shape: Sequence[int] = (1, 3, 3, 224, 224), model_type: str = "2D"
) -> dict[str, torch.Tensor]:
    """A batch of random clips, as `imgs`, and their labels, as `gt_labels`: class 2.

    Args:
        input_shape: of `imgs`.
        model_type: "2D" or "skeleton": a label for each of the first dimension; "3D" or "audio": of
            the second.

    Raises:
        ValueError: another type of model.
    """
    if model_type not in ("2D", "3D", "audio", "skeleton"):
        raise ValueError(f"model_type must be '2D', '3D', 'audio' or 'skeleton', got {model_type!r}")
    count = input_shape[0 if model_type in ("2D", "skeleton") else 1]
    return {"imgs": generate_backbone_demo_inputs(input_shape), "gt_labels": torch.full((count,), 2)}


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str | None = "",
) -> None:
    """Raise unless two tensors, arrays or numbers have nearly the same values, whatever their types and devices.

    Args:
        actual: what was computed.
        expected: what it should be.
        rtol: largest relative difference; with `atol` or not at all.
        atol: largest absolute difference.
        equal_nan: NaN equals NaN.
        msg: of the error; empty: torch's.

    Raises:
        AssertionError: they differ.
    """
    torch.testing.assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=False,
        check_dtype=False,
        msg=msg or None,
    )


def check_python_script(cmd: str) -> None:
    """Run a script in this process, as `python SCRIPT ARGUMENTS` does.

    Args:
        cmd: `SCRIPT ARGUMENTS` or `python SCRIPT ARGUMENTS`.
    """
    words = shlex.split(cmd)
    words = words[1:] if words[0] == "python" else words
    before = sys.argv
    sys.argv = words
    try:
        runpy.run_path(words[0], run_name="__main__")
    finally:
        sys.argv = before
