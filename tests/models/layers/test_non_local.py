import pytest
import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.layers import NonLocal1d, NonLocal2d, NonLocal3d

MODES = ["gaussian", "embedded_gaussian", "dot_product", "concatenation"]


def slow(block: nn.Module, x: Tensor) -> Tensor:
    """Equations 2 to 6 of the paper, one pair of positions at a time."""
    seen = block.g(x).flatten(2)
    if block.mode == "gaussian":
        looking, looked_at = x.flatten(2), (block.phi(x) if block.sub_sample else x).flatten(2)
    else:
        looking, looked_at = block.theta(x).flatten(2), block.phi(x).flatten(2)
    gathered = torch.zeros(len(x), block.inter_channels, looking.shape[2])
    for n in range(len(x)):
        for i in range(looking.shape[2]):
            one = looking[n, :, i]
            if block.mode == "concatenation":
                pairs = [
                    torch.relu(block.concat_project.conv.weight.flatten() @ torch.cat([one, looked_at[n, :, j]]))
                    for j in range(looked_at.shape[2])
                ]
                weights = torch.stack(pairs) / len(pairs)
            else:
                weights = one @ looked_at[n]
                if block.mode == "dot_product":
                    weights = weights / len(weights)
                else:
                    scaled = block.mode == "embedded_gaussian" and block.use_scale
                    weights = (weights / len(one) ** 0.5 if scaled else weights).softmax(0)
            gathered[n, :, i] = seen[n] @ weights
    return x + block.conv_out(gathered.reshape(len(x), -1, *x.shape[2:]))


@pytest.mark.parametrize("sub_sample", [False, True])
@pytest.mark.parametrize("use_scale", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_blocks_compute_the_papers_sums(mode: str, use_scale: bool, sub_sample: bool) -> None:
    torch.manual_seed(0)
    for kind, shape in [(NonLocal1d, (6,)), (NonLocal2d, (4, 2)), (NonLocal3d, (2, 4, 4))]:
        block = kind(8, use_scale=use_scale, mode=mode, sub_sample=sub_sample).eval()
        x = torch.randn(2, 8, *shape)
        assert torch.allclose(block(x), slow(block, x), atol=1e-5)


def test_the_names_of_the_weights_are_those_of_published_files() -> None:
    block = NonLocal3d(8, norm_cfg={"type": "BN3d"}, sub_sample=True)
    weights = [name for name, _ in block.named_parameters() if name.endswith("weight")]
    assert weights == [
        "g.0.conv.weight",
        "conv_out.conv.weight",
        "conv_out.bn.weight",
        "theta.conv.weight",
        "phi.0.conv.weight",
    ]


@pytest.mark.parametrize("norm_cfg", [None, {"type": "BN3d"}])
def test_a_fresh_block_is_the_identity(norm_cfg: dict | None) -> None:
    block = NonLocal3d(8, norm_cfg=norm_cfg)
    block.init_weights()
    x = torch.randn(2, 8, 2, 3, 3)
    assert torch.equal(block(x), x)
    block = NonLocal3d(8, norm_cfg=norm_cfg, zeros_init=False)
    block.init_weights()
    assert not torch.equal(block(x), x)


def test_weights_are_drawn_as_wide_as_asked() -> None:
    block = NonLocal2d(64, reduction=4, zeros_init=False, std=0.5)
    assert (block.reduction, block.inter_channels) == (4, 16)
    for layer in (block.g, block.theta, block.phi, block.conv_out):
        assert 0.4 < layer.conv.weight.std() < 0.6


def test_an_unknown_mode_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"the modes gaussian, embedded_gaussian, .*, not 'dot'"):
        NonLocal3d(8, mode="dot")


@pytest.mark.parametrize(("kind", "shape"), [(NonLocal1d, (1,)), (NonLocal2d, (4, 1)), (NonLocal3d, (4, 1, 4))])
def test_a_single_position_cannot_be_sub_sampled(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    x = torch.randn(1, 4, *shape)
    assert kind(4)(x).shape == x.shape
    with pytest.raises(ConfigError, match=r"sub_sample=True .* that have one: set sub_sample=False in non_local_cfg"):
        kind(4, sub_sample=True)(x)
