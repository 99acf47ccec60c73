import torch

from kinema.models.inflation import inflate_2d_weights, rename_resnet_weights


def test_names_of_image_networks_become_those_of_our_blocks() -> None:
    names = ["conv1.weight", "bn1.running_mean", "layer1.0.conv2.weight", "layer1.0.bn3.bias", "fc.weight"]
    names += ["layer2.0.downsample.0.weight", "layer2.0.downsample.1.num_batches_tracked", "layer1.0.conv1.conv.weight"]
    assert list(rename_resnet_weights(dict.fromkeys(names, torch.zeros(1)))) == [
        "conv1.conv.weight",
        "conv1.bn.running_mean",
        "layer1.0.conv2.conv.weight",
        "layer1.0.conv3.bn.bias",
        "fc.weight",
        "layer2.0.downsample.conv.weight",
        "layer2.0.downsample.bn.num_batches_tracked",
        "layer1.0.conv1.conv.weight",
    ]


def test_a_kernel_is_repeated_along_time_and_keeps_its_sum() -> None:
    kernel = torch.randn(4, 3, 7, 7)
    inflated = inflate_2d_weights({"conv1.weight": kernel}, {"conv1.conv.weight": torch.zeros(4, 3, 5, 7, 7)})
    assert inflated["conv1.conv.weight"].shape == (4, 3, 5, 7, 7)
    assert torch.allclose(inflated["conv1.conv.weight"].sum(2), kernel, atol=1e-5)


def test_channels_of_a_lateral_connection_start_at_zero() -> None:
    kernel = torch.randn(4, 8, 1, 1)
    own = {"layer1.0.conv1.conv.weight": torch.zeros(4, 10, 1, 1, 1)}
    inflated = inflate_2d_weights({"layer1.0.conv1.weight": kernel}, own)["layer1.0.conv1.conv.weight"]
    assert torch.equal(inflated[:, :8, 0], kernel)
    assert not inflated[:, 8:].any()


def test_optical_flow_starts_with_the_mean_over_colours() -> None:
    kernel = torch.randn(4, 3, 7, 7)
    inflated = inflate_2d_weights({"conv1.weight": kernel}, {"conv1.conv.weight": torch.zeros(4, 2, 1, 7, 7)})
    assert torch.allclose(inflated["conv1.conv.weight"][:, 0, 0], kernel.mean(1) * 3 / 2, atol=1e-6)


def test_what_has_no_place_is_left_for_the_report() -> None:
    left = inflate_2d_weights({"fc.weight": torch.zeros(2, 3), "backbone.fc.weight": torch.zeros(2, 3)}, {})
    assert list(left) == ["fc.weight", "backbone.fc.weight"]
