import re

import pytest

from kinema.errors import CheckpointError
from kinema.openmmlab.addresses import PUBLISHED, published_url, weights_url


@pytest.mark.parametrize(
    ("scheme", "name", "file"),
    [
        ("torchvision", "resnet50", "pytorch.org/models/resnet50-0676ba61.pth"),
        ("torchvision", "resnet50.imagenet1k_v1", "pytorch.org/models/resnet50-0676ba61.pth"),
        ("torchvision", "ResNet50.IMAGENET1K_V2", "pytorch.org/models/resnet50-11ad3fa6.pth"),
        ("modelzoo", "ResNet101_Weights.IMAGENET1K_V2", "pytorch.org/models/resnet101-cd907fc2.pth"),
        ("torchvision", "densenet161.imagenet1k_v1", "pytorch.org/models/densenet161-8d451a50.pth"),
        ("open-mmlab", "resnext101_64x4d", "openmmlab.com/pretrain/third_party/resnext101_64x4d-ee2c6f71.pth"),
        ("openmmlab", "resnext101_64x4d", "openmmlab.com/pretrain/third_party/resnext101_64x4d-ee2c6f71.pth"),
        (
            "mmcls",
            "mobilenet_v2",
            "openmmlab.com/mmclassification/v0/mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth",
        ),
    ],
)
def test_a_published_network_has_a_url(scheme: str, name: str, file: str) -> None:
    assert published_url(scheme, name) == f"https://download.{file}"


@pytest.mark.parametrize("scheme", PUBLISHED)
def test_every_published_file_can_be_checked_by_its_name(scheme: str) -> None:
    for name, url in PUBLISHED[scheme].items():
        assert published_url(scheme, name) == url
        assert re.fullmatch(r"https://download\.(pytorch\.org|openmmlab\.com)/[\w/.-]+-[0-9a-f]{8}\.pth", url)


@pytest.mark.parametrize(
    ("scheme", "name", "hint"),
    [
        ("torchvision", "resnet51", "did you mean .*resnet50"),
        ("mmcls", "mobilenetv2", r"did you mean mobilenet_v2\?"),
        ("torchvision", "resnet18.imagenet1k_v2", "did you mean resnet18.imagenet1k_v1"),
        ("openmmlab", "zzz", "there are: resnext50_32x4d, "),
    ],
)
def test_a_network_that_is_not_known_is_named_with_the_nearest(scheme: str, name: str, hint: str) -> None:
    with pytest.raises(CheckpointError, match=rf"^{scheme}://{name}: no network of that name is known: {hint}"):
        published_url(scheme, name)


def test_the_weights_of_a_config_lie_in_the_folder_of_its_family() -> None:
    start = "https://download.openmmlab.com/mmaction/"
    assert weights_url("ircsn_bnfrozen_r50", "20220811-a5f1d2") == (
        f"{start}v1.0/recognition/csn/ircsn_bnfrozen_r50/ircsn_bnfrozen_r50_20220811-a5f1d2.pth"
    )
    assert weights_url("tsn_r50", "recognition/x/y.pth") == f"{start}recognition/x/y.pth"
