"""Addresses of published weights: of image networks (`torchvision://resnet50`) and of MMAction2.

Sources: torchvision's table of weights (the plain name is IMAGENET1K_V1), and the names that
MMEngine gives to the files of download.openmmlab.com.
"""

import re

from kinema.errors import CheckpointError
from kinema.spelling import suggestion

_PYTORCH = "https://download.pytorch.org/models/"
_MMCLS = "https://download.openmmlab.com/mmclassification/v0/"
_MMACTION = "https://download.openmmlab.com/mmaction/"
_THIRD_PARTY = "https://download.openmmlab.com/pretrain/third_party/"

# Name -> the hash in the names of its files: IMAGENET1K_V1, and IMAGENET1K_V2 where there is one.
_TORCHVISION_HASHES = {
    "resnet18": ("f37072fd",),
    "resnet34": ("b627a593",),
    "resnet50": ("0676ba61", "11ad3fa6"),
    "resnet101": ("63fe2227", "cd907fc2"),
    "resnet152": ("394f9c45", "f82ba261"),
    "mobilenet_v2": ("b0353104", "7ebf99e0"),
    "resnext50_32x4d": ("7cdf4587", "1a0047aa"),
    "resnext101_32x8d": ("8ba56ff5", "110c445d"),
    "densenet121": ("a639ec97",),
    "densenet161": ("8d451a50",),
    "densenet169": ("b2777c0a",),
    "densenet201": ("c1103571",),
}
_TORCHVISION = {
    f"{name}{suffix}": f"{_PYTORCH}{name}-{digest}.pth"
    for name, digests in _TORCHVISION_HASHES.items()
    for suffix, digest in (
        ("", digests[0]),
        *((f".imagenet1k_v{version}", digest) for version, digest in enumerate(digests, start=1)),
    )
}

_OPEN_MMLAB = {
    "resnext50_32x4d": f"{_THIRD_PARTY}resnext50-32x4d-0ab1a123.pth",
    "resnext101_32x4d": f"{_THIRD_PARTY}resnext101_32x4d-a5af3160.pth",
    "resnext101_64x4d": f"{_THIRD_PARTY}resnext101_64x4d-ee2c6f71.pth",
}

_MMCLS_NETWORKS = {
    "resnet18": f"{_MMCLS}resnet/resnet18_8xb32_in1k_20210831-fbbb1da6.pth",
    "resnet34": f"{_MMCLS}resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth",
    "resnet50": f"{_MMCLS}resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth",
    "resnet101": f"{_MMCLS}resnet/resnet101_8xb32_in1k_20210831-539c63f8.pth",
    "resnet152": f"{_MMCLS}resnet/resnet152_8xb32_in1k_20210901-4d7582fa.pth",
    "resnext50_32x4d": f"{_MMCLS}resnext/resnext50_32x4d_b32x8_imagenet_20210429-56066e27.pth",
    "resnext101_32x4d": f"{_MMCLS}resnext/resnext101_32x4d_b32x8_imagenet_20210506-e0fa3dd5.pth",
    "resnext101_32x8d": f"{_MMCLS}resnext/resnext101_32x8d_b32x8_imagenet_20210506-23a247d5.pth",
    "mobilenet_v2": f"{_MMCLS}mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth",
}

# Scheme -> name -> URL.
PUBLISHED = {
    "torchvision": _TORCHVISION,
    "modelzoo": _TORCHVISION,
    "open-mmlab": _OPEN_MMLAB,
    "openmmlab": _OPEN_MMLAB,
    "mmcls": _MMCLS_NETWORKS,
}


def published_url(scheme: str, name: str) -> str:
    """The URL of a published network.

    Args:
        scheme: a key of `PUBLISHED`.
        name: as in `resnet50`, `resnet50.imagenet1k_v2`, `ResNet50_Weights.IMAGENET1K_V2`, in any
            letter case.

    Raises:
        CheckpointError: there is no such network under `scheme`; the nearest names are given.
    """
    table = PUBLISHED[scheme]
    url = table.get(name.lower().replace("_weights.", "."))
    if url is not None:
        return url
    raise CheckpointError(f"{scheme}://{name}: no network of that name is known: {suggestion(name, table)}")


# Families whose files lie in the folder of another.
_FOLDERS = {"ircsn": "csn", "ipcsn": "csn"}


def weights_url(config: str, file: str) -> str:
    """The URL of the weights that MMAction2 published for one of its configs.

    Args:
        config: name of the config, without its suffix.
        file: what follows the config's name in the file's: date and hash; or the whole path below
            MMAction2's files.
    """
    if "/" in file:
        return _MMACTION + file
    family = re.split("[-_]", config)[0]
    return f"{_MMACTION}v1.0/recognition/{_FOLDERS.get(family, family)}/{config}/{config}_{file}.pth"
