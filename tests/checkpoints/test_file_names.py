"""Tensors of a network under the names of a file."""

import pytest
import torch
from torch import nn

from kinema.checkpoints.file_names import cut, own_tensors, renamed


def test_what_is_written_to_a_renamed_part_is_in_the_network() -> None:
    network = nn.ModuleDict({"qkv": nn.Linear(2, 6), "norm": nn.LayerNorm(2)})
    names = cut(own_tensors(network), r"qkv\.(weight|bias)", [r"query.\1", r"key.\1", r"value.\1"])
    views = renamed(names, [(r"^norm\.", "layernorm."), ("weight", "w")])
    assert list(views) == [
        "query.w",
        "key.w",
        "value.w",
        "query.bias",
        "key.bias",
        "value.bias",
        "layernorm.w",
        "layernorm.bias",
    ]
    views["key.w"].fill_(7)
    views["layernorm.bias"].fill_(3)
    assert network["qkv"].weight[2:4].eq(7).all()
    assert network["norm"].bias.eq(3).all()


def test_parts_may_differ_in_size() -> None:
    parts = cut({"in_proj": torch.arange(6.0), "other": torch.zeros(1)}, "in_proj", ["q", "kv"], [1, 2])
    assert {name: tensor.tolist() for name, tensor in parts.items()} == {"q": [0, 1], "kv": [2, 3, 4, 5], "other": [0]}


def test_two_tensors_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two tensors would be called 'x', one of them 'b'"):
        renamed({"a": torch.zeros(1), "b": torch.zeros(1)}, [("a|b", "x")])
