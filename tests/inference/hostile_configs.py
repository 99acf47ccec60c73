"""Run by test_untrusted.py in a process of its own: loads a checkpoint with every hostile config, under an audit hook.

Prints one JSON object: how many configs were refused and loaded, and what was touched that must not
be.
"""

import inspect
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from kinema import registry
from kinema.errors import CheckpointError, KinemaError, MissingDependencyError
from kinema.inference.contract import read_contract
from kinema.inference.untrusted import build_checked
from kinema.models import read_checkpoint
from kinema.transforms import Compose

saved, tripwire = Path(sys.argv[1]), sys.argv[2]
address = "http://127.0.0.1:9/tripwire.pth"
touched: list[str] = []
counts = {"refused": 0, "loaded": 0, "missing": 0}
WATCHED = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "urllib.",
    "ftplib.",
)
is_watching = False


def watch(event: str, args: tuple[Any, ...]) -> None:
    if not is_watching:
        return
    if event.startswith(WATCHED) or (event == "open" and "tripwire" in str(args[0])):
        touched.append(f"{event} {args!r}"[:200])
    if event == "import" and args[0].partition(".")[0] in ("torchvision", "kornia", "tripwire", "antigravity"):
        touched.append(f"import {args[0]}")


sys.addaudithook(watch)
weights = read_checkpoint(saved)
plain = json.loads((saved / "config.json").read_text())


def attempt(config: dict[str, Any]) -> None:
    global is_watching
    (saved / "config.json").write_text(json.dumps(config))
    is_watching = True
    try:
        contract = read_contract(saved)
        build_checked(contract.model, weights, "saved")
        counts["loaded"] += 1
        with suppress(KinemaError, TypeError, ValueError):
            Compose(contract.pipeline)
    except CheckpointError:
        counts["refused"] += 1
    except MissingDependencyError:
        counts["missing"] += 1
    finally:
        is_watching = False


def with_model(**changes: Any) -> dict[str, Any]:
    return {**plain, "model": {**plain["model"], **changes}}


def with_part(part: str, **changes: Any) -> dict[str, Any]:
    return with_model(**{part: {**(plain["model"].get(part) or {}), **changes}})


def with_step(**step: Any) -> dict[str, Any]:
    return {**plain, "preprocessing": [step, *plain["preprocessing"]]}


def keywords(part: Any) -> list[str]:
    try:
        return [name for name in inspect.signature(part).parameters if name not in ("args", "kwargs")]
    except ValueError:
        return []


attempt(plain)  # whatever is imported late is imported now
assert counts == {"refused": 0, "loaded": 1, "missing": 0}, counts
registries = {one.name: one for one in vars(registry).values() if isinstance(one, registry.Registry)}
assert len(registries) == 23
for one in registries.values():
    for name, part in one.module_dict.items():
        spoken = [{"type": name}, {"type": f"mmengine.{name}"}, {"type": name, "_scope_": "mmengine"}]
        for cfg in spoken:
            attempt(with_model(backbone=cfg))
            attempt(with_step(**cfg))
        attempt(with_model(type=name))
        attempt(with_part("cls_head", loss_cls={"type": name}))
        attempt(with_part("data_preprocessor", blending={"type": name}))
        attempt(with_part("backbone", init_cfg={"type": name, "checkpoint": tripwire}))
        for keyword in keywords(part):
            for value in (tripwire, {"type": "Pretrained", "checkpoint": address}):
                attempt(with_model(backbone={"type": name, keyword: value}))
                attempt(with_step(**{"type": name, keyword: value}))

# By the names that other libraries and Python are reached by.
for kind in (
    "os.system",
    "builtins.eval",
    "torch.load",
    "torch.hub.load",
    "kinema.load",
    "tripwire.Part",
    "antigravity",
    "",
    ".",
    "a" * 5000,
):
    attempt(with_model(backbone={"type": kind, "path": tripwire}))
    attempt(with_step(type=kind))
for kind in (["x"], {"type": "x"}, 5, True, None):
    attempt(with_model(backbone={"type": kind}))
    attempt(with_step(type=kind))
attempt({**plain, "custom_imports": {"imports": ["tripwire"]}, "default_scope": "tripwire"})
for key in ("init_cfg", "pretrained"):
    for value in (
        {"type": "Pretrained", "checkpoint": tripwire},
        {"type": "PretrainedInit", "checkpoint": address},
        tripwire,
        address,
    ):
        attempt(with_model(**{key: value}))
        for part in ("backbone", "cls_head"):
            attempt(with_part(part, **{key: value}))

# Networks and transforms of other libraries: `timm` on the path is a stand-in that says how it was
# called.
import timm  # noqa: E402

for library in ("timm", "torchvision", "mmcls", "mmpretrain", "transformers"):
    for keyword in (
        *(
            "checkpoint_path",
            "pretrained",
            "pretrained_cfg",
            "pretrained_cfg_overlay",
            "cache_dir",
            "weights",
            "weights_backbone",
        ),
        *(
            "features_only",
            "act_layer",
            "norm_layer",
            "scriptable",
            "exportable",
            "file",
            "url",
            "progress",
            "kwargs",
            "model_dir",
        ),
    ):
        for value in (tripwire, address, {"url": address}, {"file": tripwire}, True):
            attempt(with_model(type="Recognizer2D", backbone={"type": f"{library}.resnet18", keyword: value}))
    for name in (
        tripwire,
        "../x",
        "hf-hub:a/b",
        "hf_hub:a/b",
        "local-dir:/x",
        f"resnet18.{tripwire}",
        "resnet18\n",
        "load",
    ):
        attempt(with_model(type="Recognizer2D", backbone={"type": f"{library}.{name}"}))
attempt(with_model(type="Recognizer2D", backbone={"type": "timm.resnet18", "drop_path_rate": 0.1}))
allowed = ({"num_classes": 0}, {"num_classes": 0, "drop_path_rate": 0.1})  # `pretrained` is left out
touched += [f"timm was called with {call}" for call in timm.calls if call not in allowed]
for wrapper in ("TorchVisionWrapper", "KorniaWrapper", "PytorchVideoWrapper", "TensorTransform"):
    for scope in ("", "mmaction.", "kinema."):
        attempt(with_step(type=scope + wrapper, op="ColorJitter", function="os.system"))
        attempt(with_step(type="RandomApply", transforms=[{"type": scope + wrapper, "op": "ColorJitter"}]))
print(json.dumps({**counts, "touched": touched[:20], "timm": len(timm.calls)}))
