"""Blocks of transformers whose activations are computed again train as those whose activations are kept."""

from typing import Any

import pytest
import torch

from kinema.registry import MODELS

FRAMES, SIZE = 4, 32
NETWORKS: dict[str, dict[str, Any]] = {
    "TimeSformer": {
        **{"num_frames": FRAMES, "img_size": SIZE, "patch_size": 8, "embed_dims": 24, "num_heads": 2},
        "num_transformer_layers": 3,
    },
    "VisionTransformer": {
        **{"num_frames": FRAMES, "img_size": SIZE, "patch_size": 8, "embed_dims": 24, "num_heads": 2, "depth": 3},
        "drop_path_rate": 0.3,
    },
    "UniFormer": {"depth": [1, 1, 1, 1], "embed_dim": [16, 16, 32, 32], "head_dim": 16, "drop_path_rate": 0.3},
    "UniFormerV2": {
        **{"input_resolution": SIZE, "patch_size": 8, "width": 24, "layers": 3, "heads": 2, "t_size": FRAMES},
        **{"return_list": [1, 2], "n_layers": 2, "n_dim": 24, "n_head": 2, "mlp_dropout": [0.5, 0.5]},
        "backbone_drop_path_rate": 0.3,
    },
    "MViT": {
        **{"spatial_size": SIZE, "temporal_size": FRAMES, "out_scales": [1], "drop_path_rate": 0.3},
        "arch": {"embed_dims": 16, "num_layers": 3, "num_heads": 1, "downscale_indices": [1]},
    },
    "SwinTransformer3D": {
        **{"window_size": (2, 2, 2), "out_indices": (1,), "drop_path_rate": 0.3},
        "arch": {"embed_dims": 12, "depths": [2, 2], "num_heads": [2, 2]},
    },
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_kept_activations(name: str) -> None:
    torch.manual_seed(0)
    clips = torch.randn(2, 3, FRAMES, SIZE, SIZE)
    kept = MODELS.build({"type": name, **NETWORKS[name]})
    again = MODELS.build({"type": name, **NETWORKS[name], "with_cp": True})
    again.load_state_dict(kept.state_dict())
    saved: list[int] = []
    gradients = []
    for network in (kept.train(), again.train()):
        torch.manual_seed(1)  # the same branches are dropped
        count = 0

        def count_elements(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal count
            count += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count_elements, lambda tensor: tensor):
            output = network(clips)
            while isinstance(output, tuple | list):
                output = output[-1]
        output.square().sum().backward()
        saved.append(count)
        gradients.append({key: value.grad for key, value in network.named_parameters() if value.grad is not None})
    assert saved[1] < saved[0]
    assert gradients[0].keys() == gradients[1].keys()
    for key, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()))
