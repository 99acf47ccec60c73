import torch

from kinema.checkpoints.inflation import fit_image_weights
from kinema.checkpoints.renaming import rename_resnet_weights


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
    inflated = fit_image_weights({"conv1.weight": kernel}, {"conv1.conv.weight": torch.zeros(4, 3, 5, 7, 7)})
    assert inflated["conv1.conv.weight"].shape == (4, 3, 5, 7, 7)
    assert torch.allclose(inflated["conv1.conv.weight"].sum(2), kernel, atol=1e-5)


def test_channels_of_a_lateral_connection_start_at_zero() -> None:
    kernel = torch.randn(4, 8, 1, 1)
    own = {"layer1.0.conv1.conv.weight": torch.zeros(4, 10, 1, 1, 1)}
    inflated = fit_image_weights({"layer1.0.conv1.weight": kernel}, own)["layer1.0.conv1.conv.weight"]
    assert torch.equal(inflated[:, :8, 0], kernel)
    assert not inflated[:, 8:].any()


def test_optical_flow_starts_with_the_mean_over_colours() -> None:
    kernel = torch.randn(4, 3, 7, 7)
    inflated = fit_image_weights({"conv1.weight": kernel}, {"conv1.conv.weight": torch.zeros(4, 2, 1, 7, 7)})
    assert torch.allclose(inflated["conv1.conv.weight"][:, 0, 0], kernel.mean(1) * 3 / 2, atol=1e-6)


def test_what_has_no_place_is_left_for_the_report() -> None:
    kernel = torch.ones(2, 3, 1, 1)
    fitted = fit_image_weights({"conv1.weight": kernel, "fc.weight": torch.ones(2, 3)}, {"conv1.conv.weight": kernel})
    assert fitted is not None
    assert list(fitted) == ["conv1.conv.weight", "fc.weight"]


def test_a_network_of_another_kind_fits_nowhere() -> None:
    assert fit_image_weights({"stem.weight": torch.ones(2, 3)}, {"conv1.bn.bias": torch.ones(2)}) is None
    assert fit_image_weights({"weight": torch.ones(1, 2)}, {"weight": torch.ones(1, 1, 1, 1)}) is None


def test_weights_find_their_place_in_wrapped_layers_and_in_a_recognizer() -> None:
    own = {
        "backbone.layer1.0.conv1.conv.net.weight": torch.zeros(4, 8, 1, 1),
        "cls_head.fc_cls.weight": torch.zeros(2, 4),
    }
    given = {"layer1.0.conv1.weight": torch.ones(4, 8, 1, 1), "fc.weight": torch.ones(1000, 4)}
    fitted = fit_image_weights(given, own)
    assert fitted is not None
    assert list(fitted) == ["backbone.layer1.0.conv1.conv.net.weight", "fc.weight"]


def test_networks_of_other_names_are_fitted_by_the_order_of_their_shapes() -> None:
    own = {
        "conv1.conv.weight": torch.zeros(4, 3, 3, 3),
        "conv1.bn.bias": torch.zeros(4),
        "conv2.weight": torch.zeros(2, 4),
    }
    given = {"features.0.0.weight": torch.ones(4, 3, 3, 3), "features.0.1.bias": torch.ones(4), "x": torch.ones(2, 4)}
    fitted = fit_image_weights({**given, "classifier.1.bias": torch.ones(9)}, own)
    assert fitted is not None
    assert list(fitted) == [*own, "classifier.1.bias"]
    assert fit_image_weights({**given, "x": torch.ones(2, 5)}, own) is None
