import pytest
import torch
from torch import nn

from kinema.models.layers.recomputation import recomputed
from kinema.registry import MODELS

CLIPS, IMAGES = (2, 3, 4, 32, 32), (2, 3, 32, 32)


class Block(nn.Module):
    def __init__(self, momentum):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=momentum), nn.Dropout(0.5), nn.ReLU())
        self.calls = 0

    def compute(self, x):
        self.calls += 1
        return self.layers(x)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_second_computation_changes_neither_gradients_nor_statistics(momentum):
    states = []
    for again in (False, True):
        torch.manual_seed(0)
        block = Block(momentum)
        for _ in range(3):
            x = torch.randn(5, 3, requires_grad=True)
            out = recomputed(block, block.compute, x) if again else block.compute(x)
            out.square().sum().backward()
        gradients = {f"{name}.grad": parameter.grad for name, parameter in block.named_parameters()}
        states.append({**block.state_dict(), **gradients})
        assert block.calls == (6 if again else 3)
        assert block.layers[1].momentum == momentum
        assert int(block.layers[1].num_batches_tracked) == 3
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_statistics_that_nobody_tracks_stay_untracked():
    norm = nn.BatchNorm1d(3, track_running_stats=False)
    recomputed(norm, norm, torch.randn(4, 3, requires_grad=True)).sum().backward()
    assert norm.running_mean is None


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (dict(type="ResNet", depth=18, num_stages=2, out_indices=(1,)), IMAGES),
        (dict(type="MobileNetV2"), IMAGES),
        (dict(type="TANet", depth=50, num_segments=2, num_stages=2, out_indices=(1,)), IMAGES),
        (dict(type="ResNet3dSlowOnly", depth=18, base_channels=8, pretrained=None), CLIPS),
        (dict(type="X3D", gamma_d=1), CLIPS),
        (dict(type="ViViT", img_size=32, num_frames=4, embed_dims=24, depth=2, num_heads=2), CLIPS),
        (dict(type="clip_vision", img_size=32, embed_dims=24, depth=2, num_heads=2), IMAGES),
    ],
)
def test_networks_train_alike_with_activation_checkpointing(config, shape):
    states = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        network = MODELS.build({**config, "with_cp": with_cp}).train()
        features = network(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
        (features[-1] if isinstance(features, tuple) else features).square().mean().backward()
        gradients = {f"{name}.grad": value.grad for name, value in network.named_parameters() if value.grad is not None}
        states.append({**network.state_dict(), **gradients})
    assert len(states[0]) > len(dict(network.named_parameters()))
    unequal = [name for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    assert unequal == []
