"""V-JEPA 2 and 2.1: encoders, attentive probes, their evaluation, and the port of transformers."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from foundation.libraries import ACTIVATIONS, with_activation
from foundation_fixtures import Built
from torch import Tensor, nn

from kinema.models.backbones.tokens import vjepa_files as files
from kinema.models.backbones.tokens.vjepa import LEVELS, VJEPA2
from kinema.models.backbones.tokens.vjepa_predictor import VJEPA2Predictor
from kinema.models.heads.attentive import AttentiveHead
from kinema.models.layers.attentive_pooling import AttentivePooler

Config = Mapping[str, Any]
# Of `VJEPA2Config`.
TRANSFORMERS_DEFAULTS = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "mlp_ratio": 4.0,
    "patch_size": 16,
    "tubelet_size": 2,
    "in_chans": 3,
    "qkv_bias": True,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "num_pooler_layers": 3,
    "pred_hidden_size": 384,
    "pred_num_attention_heads": 12,
    "pred_num_hidden_layers": 12,
    "pred_num_mask_tokens": 10,
    "pred_mlp_ratio": 4.0,
    "num_labels": 2,
}


def build(fixture: Mapping[str, Any]) -> Built:
    """The network that a fixture describes."""
    family, part = str(fixture["family"]), str(fixture["family"]).rpartition("/")[2]
    if family.startswith("hf/"):
        return transformers(fixture)
    return {"probe": probe, "eval": evaluation}.get(part, encoder)(fixture)


# ---- encoders


def encoder(fixture: Mapping[str, Any]) -> Built:
    config = fixture["config"]
    layers = asked_layers(fixture)
    network = encoder_of(config, is_2_1="2.1" in fixture["family"], layers=layers)
    tensors = files.own_tensors(network)

    def compute(x: Tensor) -> dict[str, Tensor]:
        masks = masks_of(fixture, x, network)
        outputs = {}
        if network.out_indices is None:
            outputs["tokens"] = network.tokens(x, masks)[0]
            network.out_indices = network.level_norms or None
        blocks = network.out_indices or ()
        outputs |= named_levels(network.tokens(x, masks), blocks, config.get("n_output_distillation", 4))
        network.out_indices = layers
        return {"tokens": outputs["joined"], **outputs} if blocks else outputs

    return Built(compute, tensors)


def encoder_of(config: Config, *, is_2_1: bool, layers: tuple[int, ...] | None = None) -> VJEPA2:
    """An encoder from the facts of a fixture."""
    has_levels = is_2_1 or bool(config.get("hierarchical_norms"))
    depth = config["depth"]
    return VJEPA2(
        config["embed_dim"],
        depth,
        num_heads=config["num_heads"],
        mlp_ratio=config.get("mlp_ratio", 4.0),
        patch_size=config.get("patch_size", 16),
        tubelet_size=config.get("tubelet_size", 2),
        in_channels=config.get("in_chans", 3),
        qkv_bias=config.get("qkv_bias", True),
        norm_eps=config.get("norm_eps", 1e-6),
        rotary=config.get("rope_frequencies", "interleaved" if is_2_1 else "tiled"),
        rescaled_grid=config.get("rope_grid_rescaled_to"),
        image_tubelets=config.get("image_patch_embed", False),
        modality_embedding=config.get("modality_embedding", False),
        level_norms=LEVELS[depth] if has_levels else (),
        out_indices=layers,
    ).eval()


def asked_layers(fixture: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Blocks whose outputs are asked for, by the config or the call."""
    config = fixture["config"]
    for key in ("out_layers", "layers", "levels", "out_indices", "output_layers"):
        if isinstance(config.get(key), list):
            return tuple(config[key])
    said = re.search(r"(?:out_layers|layers|levels|blocks)\s*[=:]?\s*[\[(]?\s*(\d+(?:\s*,\s*\d+)+)", fixture["how"])
    return tuple(map(int, re.findall(r"\d+", said[1]))) if said else None


def masks_of(fixture: Mapping[str, Any], x: Tensor, network: VJEPA2) -> Tensor | None:
    """Kept tokens: those that the config lists, or every third one, from the sample's number."""
    listed = fixture["config"].get("masks", fixture["config"].get("mask"))
    if isinstance(listed, list):
        return torch.tensor(listed)
    if "mask" not in fixture["how"]:
        return None
    frames, rows, columns = network._grid(x)
    # "keeps tokens 0,3,6..126 of sample 0 and 1,4,7..127 of sample 1"
    runs = [list(map(int, run)) for run in re.findall(r"(\d+),\s*(\d+),\s*\d+\s*\.\.+\s*(\d+)", fixture["how"])]
    ranges = re.findall(r"tokens (\d+)\s*\.\.+\s*(\d+)", fixture["how"])
    runs = runs or [[int(first), int(first) + 1, int(last)] for first, last in ranges]
    runs = runs or [[sample, sample + 3, frames * rows * columns - 1] for sample in range(len(x))]
    kept = [torch.arange(first, last + 1, second - first) for first, second, last in runs]
    kept = kept if len(kept) == len(x) else kept[:1] * len(x)
    return torch.stack([run[: min(map(len, kept))] for run in kept])


def named_levels(levels: list[Tensor], blocks: tuple[int, ...], distilled: int) -> dict[str, Tensor]:
    """Levels by their number and by their block, and joined along channels and along tokens."""
    if not blocks:
        return {}
    named = {"hierarchical": torch.cat(levels[-distilled:], -1)}
    names = ("joined", "levels", "multilevel", "joined_tokens", "tokens_joined", "levels_joined", "joined_levels")
    named |= dict.fromkeys(names, torch.cat(levels, 1))
    numbered = (("block", blocks), ("layer", blocks), ("out", blocks), ("out_layer", blocks))
    for kind, numbers in (*numbered, ("level", range(len(levels)))):
        for number, level in zip(numbers, levels, strict=True):
            named |= {f"{kind}{number}": level, f"{kind}_{number}": level}
    for number, level in zip(blocks, levels, strict=True):
        named.setdefault(f"level{number}", level)
        named.setdefault(f"level_{number}", level)
    return named


# ---- probes


def probe(fixture: Mapping[str, Any]) -> Built:
    head = probe_of(fixture["config"])
    scale = fixture["config"].get("input_scale", 1.0)

    def compute(x: Tensor) -> dict[str, Tensor]:
        pooled = head.pooler(x * scale)
        return {"pooled": pooled, "logits": head.linear(pooled.squeeze(1))}

    return Built(compute, files.own_tensors(head))


def probe_of(config: Config) -> AttentiveHead:
    """An attentive head from the facts of a fixture."""
    settings = {
        "num_heads": config.get("num_heads", files.PROBE_HEADS),
        "depth": config.get("depth", 4),
        "mlp_ratio": config.get("mlp_ratio", 4.0),
        "norm_eps": config.get("norm_eps", files.PROBE_EPS),
        "qkv_bias": config.get("qkv_bias", True),
        "complete_block": config.get("complete_block", True),
        "out_projection": config.get("out_projection", False),
    }
    head = AttentiveHead(config["num_classes"], config["embed_dim"], **settings)
    if config.get("num_queries", 1) > 1:
        head.pooler = AttentivePooler(config["embed_dim"], **settings, num_queries=config["num_queries"])
    return head.eval()


def evaluation(fixture: Mapping[str, Any]) -> Built:
    config = fixture["config"]
    is_2_1 = "2.1" in fixture["family"] or bool(config["encoder"].get("hierarchical_norms"))
    network = encoder_of(
        config["encoder"], is_2_1=is_2_1, layers=asked_layers({**fixture, "config": config["encoder"]})
    )
    head = probe_of(config["probe"])
    tensors = prefixed("encoder.model.", network) | prefixed("classifier.", head)

    def compute(x: Tensor) -> dict[str, Tensor]:
        segments, views, samples = x.shape[:3]
        rows = x.permute(2, 1, 0, *range(3, x.dim()))  # samples, views, segments: those of a view together
        features = network(rows.flatten(0, 2))
        tokens = network.tokens(rows.flatten(0, 2))
        joined = torch.cat(tokens, 1).view(samples, views, -1, tokens[0].shape[-1])
        logits = head(features, joined=segments)
        probs = head.average_clip(logits, views)
        return {
            "view_tokens": joined.transpose(0, 1),
            "view_logits": logits.view(samples, views, -1).transpose(0, 1),
            "probs": probs,
        }

    head.average_clips = "prob"
    return Built(compute, tensors)


def prefixed(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in files.own_tensors(network).items()}


# ---- the port of transformers


def transformers(fixture: Mapping[str, Any]) -> Built:
    config = TRANSFORMERS_DEFAULTS | dict(fixture["config"])
    shared = {"qkv_bias": config["qkv_bias"], "norm_eps": config["layer_norm_eps"]}
    network = VJEPA2(
        config["hidden_size"],
        config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        mlp_ratio=config["mlp_ratio"],
        patch_size=config["patch_size"],
        tubelet_size=config["tubelet_size"],
        in_channels=config["in_chans"],
        **shared,
    ).eval()
    predictor = VJEPA2Predictor(
        config["hidden_size"],
        config["pred_hidden_size"],
        depth=config["pred_num_hidden_layers"],
        num_heads=config["pred_num_attention_heads"],
        mlp_ratio=config["pred_mlp_ratio"],
        num_mask_tokens=config["pred_num_mask_tokens"],
        **shared,
    ).eval()
    tensors = files.transformers_encoder(network) | files.transformers_predictor(predictor)
    head = None
    if re.search(r"ForVideoClassification|classif", fixture["how"]) or re.search(r"cls|classif", fixture["name"]):
        head = AttentiveHead(
            labels_of(fixture, config),
            config["hidden_size"],
            num_heads=config["num_attention_heads"],
            depth=config["num_pooler_layers"] + 1,
            norm_eps=config["layer_norm_eps"],  # and biases in any case
        ).eval()
        tensors = {f"vjepa2.{name}": tensor for name, tensor in tensors.items()} | files.transformers_head(head)

    for part in (network, predictor, *([head] if head else [])):
        with_activation(part, ACTIVATIONS[config["hidden_act"]])

    def compute(x: Tensor) -> dict[str, Tensor]:
        clips = x.transpose(1, 2)
        if clips.shape[2] < network.tubelet_size:
            clips = clips.repeat(1, 1, network.tubelet_size, 1, 1)
        tokens = network.tokens(clips)[-1]
        everything = torch.arange(tokens.shape[1]).expand(len(tokens), -1)
        predicted = predictor(tokens, network._grid(clips), everything, everything)
        outputs = {"tokens": tokens, "predicted": predicted, "predictor": predicted, "predictor_tokens": predicted}
        if head is not None:
            pooled = head.pooler(tokens)
            outputs |= {"pooled": pooled[:, 0], "logits": head.linear(pooled[:, 0])}
        return outputs

    return Built(compute, tensors)


def labels_of(fixture: Mapping[str, Any], config: Config) -> int:
    """Classes, by the config or else by the call."""
    for key in ("num_classes", "id2label"):
        if key in config:
            return config[key] if key == "num_classes" else len(config[key])
    said = re.search(r"(\d+) (?:classes|labels)|num_labels\s*=\s*(\d+)", fixture["how"])
    if said is None or "num_labels" in fixture["config"]:
        return config["num_labels"]
    return int(said[1] or said[2])
