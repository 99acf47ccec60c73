"""MoViNet: whole clips, and streams in pieces of any size."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from kinema.checkpoints.file_formats import load_whole
from kinema.errors import CheckpointError, ConfigError
from kinema.models import MoViNet, MoViNetHead, Recognizer3D, zoo
from kinema.models.backbones.clips.movinet import ARCHITECTURES, architecture
from kinema.models.layers import PlanarConv3d
from kinema.models.layers.carried_state import CarriedState, mean_so_far, with_past
from kinema.models.layers.movinet_blocks import HalfSize, pad_same
from kinema.models.layers.settings import divisible

TINY = {
    "stem": 8,
    "stages": [
        {"width": 8, "expanded": [16], "kernels": ["155"]},
        {"width": 16, "expanded": [24, 24], "kernels": ["533", "333"]},
        {"width": 16, "expanded": [24], "kernels": ["333"], "stride": 1},
    ],
    "head": 32,
}


def network(**settings: object) -> tuple[MoViNet, MoViNetHead]:
    """A tiny network whose blocks do something, and its head."""
    torch.manual_seed(0)
    backbone = MoViNet(TINY, **settings)
    backbone.init_weights()
    head = MoViNetHead(5, 32, hidden_channels=16, planar=bool(settings.get("planar", settings.get("causal"))))
    for block in backbone.blocks.values():
        torch.nn.init.ones_(block.alpha)
    for name, tensor in backbone.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    return backbone.eval(), head.eval()


def test_rows_and_columns_are_padded_as_tensorflow_does() -> None:
    x = torch.ones(1, 1, 1, 6, 7)
    padded = pad_same(x, (3, 5), 2)[0, 0, 0]
    assert padded.shape == (7, 11)  # 1 row: behind; 4 columns: 2 on each side
    assert padded[:, 2].tolist() == [1] * 6 + [0]
    assert padded[0].tolist() == [0] * 2 + [1] * 7 + [0] * 2
    assert pad_same(x, (1, 1), 1) is x


@pytest.mark.parametrize("sides", [(6, 7), (5, 8), (1, 2)])
def test_shortcuts_average_what_lies_in_the_clip(sides: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 2, *sides)
    sums, counts = (
        F.conv3d(pad_same(values, (3, 3), 2).flatten(0, 1)[:, None], torch.ones(1, 1, 1, 3, 3), stride=(1, 2, 2))
        for values in (x, torch.ones_like(x))
    )
    assert torch.allclose(HalfSize()(x).flatten(0, 1), (sums / counts)[:, 0], atol=1e-6)


def test_a_streaming_network_has_the_gates_and_norms_of_the_original() -> None:
    stream, base = MoViNet("A0", causal=True), MoViNet("A0")
    x = torch.linspace(-4, 4, 33)
    for block in stream.blocks.values():
        assert torch.allclose(block.se.gate(x), (0.2 * x + 0.5).clamp(0, 1), atol=1e-6)
        assert torch.allclose(block.expand.conv_1.act(x), F.hardswish(x))
    assert torch.allclose(base.blocks["b0_l0"].se.gate(x), x.sigmoid())
    assert torch.allclose(base.conv7.conv_1.act(x), F.silu(x))
    norms = [module for module in (*stream.modules(), *base.modules()) if isinstance(module, torch.nn.BatchNorm3d)]
    assert {norm.eps for norm in norms} == {1e-3}
    assert all(block.alpha == 0 for block in base.blocks.values())


@pytest.mark.parametrize(
    ("name", "base", "stream"),
    [
        ("A0", 3_111_799, 3_748_031),
        pytest.param("A1", 4_690_296, 6_447_352, marks=pytest.mark.slow),
        pytest.param("A2", 5_249_562, 7_326_962, marks=pytest.mark.slow),
    ],
)
def test_networks_have_the_published_parameters(name: str, base: int, stream: int) -> None:
    for causal, expected in ((False, base), (True, stream)):
        with torch.device("meta"):
            parts = MoViNet(name, causal=causal), MoViNetHead(600, ARCHITECTURES[name].head, planar=causal)
        assert sum(parameter.numel() for part in parts for parameter in part.parameters()) == expected


@pytest.mark.parametrize("planar", [True, False])
@pytest.mark.parametrize("sizes", [(3, 1, 5), (1,) * 9, (8, 1)])
def test_pieces_of_a_stream_give_what_the_whole_gives(planar: bool, sizes: tuple[int, ...]) -> None:
    backbone, head = network(causal=True, planar=planar)
    x = torch.randn(2, 3, 9, 34, 48)
    with torch.no_grad():
        whole = backbone(x)
        state = CarriedState()
        pieces = []
        for piece in x.split(sizes, 2):
            pieces.append(backbone(piece, state))
            scores = head(pieces[-1], state=state)
        assert torch.allclose(torch.cat(pieces, 2), whole, atol=1e-5)
        assert torch.allclose(scores, head(whole), atol=1e-6)
        assert state.num_frames == 9
        # After a piece the scores are those of the frames so far, and later frames change nothing before.
        assert torch.allclose(head(pieces[0]), head(backbone(x[:, :, : sizes[0]])), atol=1e-6)


def test_streams_do_not_mix_and_leave_the_network_alone() -> None:
    backbone, head = network(causal=True)
    names = list(backbone.state_dict())
    first, second = torch.randn(2, 1, 3, 4, 32, 32)
    states = CarriedState(), CarriedState()
    with torch.no_grad():
        for frame in range(4):
            scores = [
                head(backbone(clip[:, :, frame : frame + 1], state), state=state)
                for clip, state in zip((first, second), states, strict=True)
            ]
        for own, clip in zip(scores, (first, second), strict=True):
            assert torch.allclose(own, head(backbone(clip)), atol=1e-6)
        # Without a new state the second video is seen as a part of the first.
        continued = head(backbone(second, states[0]), state=states[0])
        assert (continued - head(backbone(second))).abs().max() > 1e-3
    assert list(backbone.state_dict()) == names
    memory = sum(kept.untyped_storage().nbytes() for kept in states[0].kept.values())
    assert memory == sum(kept.nbytes for kept in states[0].kept.values())


def test_layers_start_with_zeros_before_the_first_frame() -> None:
    layer, x = torch.nn.Identity(), torch.arange(1.0, 5.0).view(1, 1, 4, 1, 1)
    assert with_past(x, 2, layer, None).flatten().tolist() == [0, 0, 1, 2, 3, 4]
    assert mean_so_far(x, layer, None).flatten().tolist() == [1, 1.5, 2, 2.5]
    state, other = CarriedState(), torch.nn.Identity()
    for piece in x.split(1, 2):
        state.advance(piece)
        seen = with_past(piece, 2, layer, state), mean_so_far(piece, other, state)
    assert seen[0].flatten().tolist() == [2, 3, 4]
    assert seen[1].flatten().tolist() == [2.5]


def test_a_network_over_whole_clips_looks_behind() -> None:
    backbone, _ = network()
    x = torch.randn(1, 3, 6, 32, 32)
    later = x.clone()
    later[:, :, 4:] += 1
    with torch.no_grad():
        assert not torch.allclose(backbone(x)[:, :, 0], backbone(later)[:, :, 0])
        causal, _ = network(causal=True, planar=False)
        assert torch.allclose(causal(x)[:, :, :4], causal(later)[:, :, :4], atol=1e-5)


@pytest.mark.parametrize("causal", [pytest.param(False, marks=pytest.mark.slow), True])
def test_every_weight_is_trained_and_activations_may_be_computed_again(causal: bool) -> None:
    plain, again = (network(causal=causal, with_cp=with_cp)[0].train() for with_cp in (False, True))
    clips = torch.randn(2, 3, 4, 32, 32)
    for model in (plain, again):
        model(clips.requires_grad_()).square().sum().backward()
    for (name, own), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert own.grad.any(), name
        assert torch.allclose(own.grad, other.grad, rtol=1e-3, atol=1e-3), name


def test_a_file_of_the_port_is_read_whole(tmp_path: Path) -> None:
    for causal in (False, True):
        backbone, head = network(causal=causal)
        own = {**backbone.state_dict(), **head.state_dict()}
        assert any("conv2d" in name for name in own) == causal
        state = {name: tensor + 1 for name, tensor in own.items()}
        torch.save(state, tmp_path / f"{causal}.pth")
        load_whole(tmp_path / f"{causal}.pth", MoViNet.file_formats, backbone, head)
        loaded = {**backbone.state_dict(), **head.state_dict()}
        assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())
    message = r"read as MoViNet \(PyTorch port\): missing: conv1.conv_1.conv2d.weight"
    with pytest.raises(CheckpointError, match=message):
        load_whole(tmp_path / "False.pth", MoViNet.file_formats, network(causal=True)[0])


def test_a_planar_convolution_is_a_2d_one_of_each_frame_or_place() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 6, 7)
    over_space = PlanarConv3d(4, 8, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), groups=4)
    frames = F.conv2d(x.transpose(1, 2).flatten(0, 1), over_space.weight, over_space.bias, 2, 1, groups=4)
    assert torch.allclose(over_space(x), frames.unflatten(0, (2, 5)).transpose(1, 2), atol=1e-5)
    over_time = PlanarConv3d(4, 4, (3, 1, 1), bias=False)
    places = F.conv2d(x.flatten(3), over_time.weight)
    assert torch.allclose(over_time(x).flatten(3), places, atol=1e-5)
    with pytest.raises(ValueError, match=r"is over space or over time, got a kernel of \(3, 3, 3\)"):
        PlanarConv3d(4, 4, (3, 3, 3))


def test_what_does_not_fit_is_refused() -> None:
    assert architecture(ARCHITECTURES["A1"]) is ARCHITECTURES["A1"]
    assert [divisible(width) for width in (6, 46, 86, 11)] == [8, 48, 88, 16]
    with pytest.raises(ConfigError, match="MoViNet has no arch 'A9': there are: A0, A1, A2"):
        MoViNet("A9")
    with pytest.raises(ConfigError, match=r"MoViNet has no arch 'a0': did you mean A0\?"):
        MoViNet("a0")
    with pytest.raises(ConfigError, match="arch of MoViNet lacks 'head': it has stem, head and stages, of each width"):
        MoViNet({"stem": 8, "stages": []})
    for kernels in (["533"], ["533", "333", "333"], ["533", "33"], ["533", "323"]):
        wrong = {**TINY, "stages": [{"width": 8, "expanded": [16, 16], "kernels": kernels}]}
        with pytest.raises(ConfigError, match=r"has a kernel such as '533' .* got \['533'.* for \[16, 16\]"):
            MoViNet(wrong)
    clips = torch.zeros(1, 3, 1, 32, 32)
    with pytest.raises(ValueError, match="looks at frames behind, so it carries no state: build it with causal=True"):
        network()[0](clips, CarriedState())
    normalised = {"type": "ActionDataPreprocessor", "mean": [114.75] * 3, "std": [57.375] * 3, "format_shape": "NCTHW"}
    with pytest.raises(ConfigError, match="MoViNet takes values from 0 to 1, but data_preprocessor has mean="):
        Recognizer3D(network()[0], data_preprocessor=normalised)
    backbone, state = network(causal=True)[0], CarriedState()
    backbone(clips, state)
    message = "of 1 streams with frames of 32 x 32, but 2 with frames of 32 x 40 came: begin a new CarriedState"
    with pytest.raises(ValueError, match=message):
        backbone(torch.zeros(2, 3, 1, 32, 40), state)


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 4), (2, 1), (2, 3)])
def test_channels_stay_last_in_memory(batch: int, frames: int) -> None:
    x = torch.randn(batch, 8, frames, 10, 12).contiguous(memory_format=torch.channels_last_3d)
    assert HalfSize()(x).is_contiguous(memory_format=torch.channels_last_3d)
    layouts = []
    for causal in (False, True):
        backbone, _ = network(causal=causal)
        state = CarriedState() if causal else None
        backbone.conv7.register_forward_pre_hook(lambda _, args: layouts.append(args[0]))
        with torch.no_grad():
            for _ in range(2):
                backbone(torch.randn(batch, 3, frames, 40, 48), *([state] if causal else []))
    assert all(seen.is_contiguous(memory_format=torch.channels_last_3d) for seen in layouts)
    assert len(layouts) == 4


def test_a_model_of_the_zoo_is_created_from_a_file_of_the_port(tmp_path: Path) -> None:
    source = zoo.create_model("movinet_a0_stream")
    state = {**source.backbone.state_dict(), **source.cls_head.state_dict()}
    torch.save({name: tensor + 0.5 for name, tensor in state.items()}, tmp_path / "file")
    model = zoo.create_model("movinet_a0_stream", pretrained=tmp_path / "file")
    for name, tensor in {**model.backbone.state_dict(), **model.cls_head.state_dict()}.items():
        assert torch.equal(tensor, (state[name] + 0.5).to(tensor.dtype)), name
    spec = zoo.card("movinet_a0_stream").input
    assert (spec.mean, spec.std, spec.clip_len, spec.size) == ((0.0,) * 3, (255.0,) * 3, 50, 172)
    fewer = zoo.create_model("movinet_a0_stream", num_classes=3, pretrained=tmp_path / "file")
    assert fewer.cls_head.classifier[3].conv_1.conv2d.weight.shape == (3, 2048, 1, 1)
    assert torch.equal(fewer.cls_head.classifier[0].conv_1.conv2d.bias, state["classifier.0.conv_1.conv2d.bias"] + 0.5)
