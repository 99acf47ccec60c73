"""`kinema doctor`: what this machine has, and what is missing."""

import importlib.metadata
import platform
import sys
from typing import Any

from kinema import __version__
from kinema.cli.options import Json
from kinema.cli.output import print_json, print_table
from kinema.cores import available_cores
from kinema.printable import plural

_REQUIRED = (
    *("torch", "numpy", "av", "opencv-python-headless", "pyyaml", "safetensors", "filelock", "typer", "rich"),
    *("matplotlib", "jinja2", "pillow"),
)
_OPTIONAL = {  # package: extra
    **{"torchcodec": "torchcodec", "decord": "decord", "timm": "timm", "transformers": "transformers"},
    **{"pyarrow": "parquet", "tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"},
}


def doctor(as_json: Json = False) -> None:
    """Show versions, devices and video decoders."""
    report = examine()
    if as_json:
        print_json(report)
        return
    print_table("Versions", ["package", "version"], [[name, version] for name, version in report["versions"].items()])
    print_table("Devices", ["device", "what"], [[name, what] for name, what in report["devices"].items()])
    decoders = [
        [name, "ready" if reason is None else f"absent: {reason}"] for name, reason in report["decoders"].items()
    ]
    print_table("Video decoders", ["decoder", "state"], decoders)


def examine() -> dict[str, Any]:
    """Versions, devices and decoders of this machine."""
    from kinema.video.backends import installed_backends

    versions = {"kinema": __version__, "python": platform.python_version(), "platform": platform.platform()}
    versions |= {name: _version(name) or "missing" for name in _REQUIRED}
    for name, extra in _OPTIONAL.items():
        versions[name] = _version(name) or f"not installed (pip install 'kinema[{extra}]')"
    return {"versions": versions, "devices": _devices(), "decoders": installed_backends(), "executable": sys.executable}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> dict[str, str]:
    import torch

    devices = {"cpu": f"{plural(available_cores(), 'core')}, {plural(torch.get_num_threads(), 'thread')} for torch"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices[f"cuda:{index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    return devices
