import io

import pytest
from torch import nn

from kinema.compat.parts.flops_counter import flops_to_string, get_model_complexity_info, params_to_string


@pytest.mark.parametrize(
    ("layer", "shape", "flops", "parameters"),
    [
        (nn.Conv2d(4, 8, 3, groups=2, stride=2, padding=1, bias=False), (4, 16, 16), 9216, 144),
        (nn.ConvTranspose2d(3, 8, 3), (3, 16, 16), 57888, 224),
        (nn.BatchNorm2d(3), (3, 16, 16), 1536, 6),
        (nn.LayerNorm((3, 16, 16), elementwise_affine=False), (3, 16, 16), 768, 0),
        (nn.Linear(1024, 2), (1024,), 2048, 2050),
        (nn.AdaptiveAvgPool3d(2), (3, 3, 16, 16), 2304, 0),
        (nn.Upsample((32, 32)), (3, 16, 16), 3072, 0),
        (nn.PReLU(), (3, 16, 16), 768, 1),
    ],
)
def test_layers_of_known_kinds_are_counted(layer: nn.Module, shape: tuple[int, ...], flops: int, parameters: int):
    counted = get_model_complexity_info(layer, shape, print_per_layer_stat=False, as_strings=False)
    assert counted == (flops, parameters)


def test_shares_of_layers_are_written() -> None:
    stream = io.StringIO()
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sigmoid())
    assert get_model_complexity_info(net, (3, 16, 16), ost=stream) == ("0.0 GFLOPs", "224")
    assert stream.getvalue().splitlines() == [
        "Sequential(",
        "  0.0 M, 100.000% Params, 0.0 GFLOPs, 100.000% FLOPs, ",
        "  (0): Conv2d(0.0 M, 100.000% Params, 0.0 GFLOPs, 100.000% FLOPs, 3, 8, kernel_size=(3, 3), stride=(1, 1))",
        "  (1): Sigmoid(0.0 M, 0.000% Params, 0.0 GFLOPs, 0.000% FLOPs, )",
        ")",
    ]
    with pytest.raises(TypeError, match="a module and a tuple are expected, got Sequential and"):
        get_model_complexity_info(net, [3, 16, 16])
    with pytest.raises(ValueError, match="input_shape must not be empty"):
        get_model_complexity_info(net, ())


def test_numbers_become_texts_in_the_unit_that_fits() -> None:
    assert [flops_to_string(number, units=None) for number in (6.54321e9, 3.21e3, 321.0)] == [
        "6.54 GFLOPs",
        "3.21 KFLOPs",
        "321.0 FLOPs",
    ]
    assert flops_to_string(6.54321e9, "MFLOPs") == "6543.21 MFLOPs"
    assert [params_to_string(number) for number in (3.21e7, 29140, 224)] == ["32.1 M", "29.14 k", "224"]
    assert params_to_string(29140, "M", 3) == "0.029 M"
