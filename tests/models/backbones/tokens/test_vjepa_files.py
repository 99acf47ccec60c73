"""Files of V-JEPA 2 and 2.1, as Meta and transformers write them, go into an encoder and a head in full."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kinema.checkpoints.cache import cached_file
from kinema.checkpoints.file_formats import load_published
from kinema.checkpoints.reading import read_checkpoint
from kinema.errors import CheckpointError
from kinema.models import Recognizer3D
from kinema.models.backbones.tokens import vjepa_files as files
from kinema.models.backbones.tokens.vjepa import VJEPA2
from kinema.models.backbones.tokens.vjepa_predictor import VJEPA2Predictor
from kinema.models.heads.attentive import AttentiveHead

SIZE = {"embed_dims": 24, "depth": 3, "num_heads": 2}
OF_2_1 = {
    "rotary": "interleaved",
    "rescaled_grid": 16,
    "image_tubelets": True,
    "modality_embedding": True,
    "level_norms": (0, 2),
}
State = dict[str, Tensor]


def drawn(module: nn.Module, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module


def encoder(seed: int = 0, **settings: object) -> VJEPA2:
    return drawn(VJEPA2(**SIZE, **settings), seed)


def head(seed: int = 0, num_classes: int = 5, **settings: object) -> AttentiveHead:
    return drawn(AttentiveHead(num_classes, 24, **{"num_heads": 4, "depth": 2, **settings}), seed)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[object], Path]:
    def save(content: object) -> Path:
        torch.save(content, tmp_path / "weights.pt")
        return tmp_path / "weights.pt"

    return save


def wrapped(network: nn.Module) -> State:
    return {f"module.backbone.{name}": tensor for name, tensor in network.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_meta_files_give_the_moving_average_unless_another_branch_is_asked_for(write, caplog) -> None:
    trained, average = encoder(1), encoder(2)
    stale = {"module.backbone.pos_embed": torch.zeros(1, 8, 24)}
    content = {"encoder": wrapped(trained) | stale, "target_encoder": wrapped(average) | stale, "predictor": {}}
    file = write({**content, "epoch": 3})
    with caplog.at_level(logging.INFO, "kinema"):
        for branch, source in ((None, average), ("encoder", trained), ("target_encoder", average)):
            network = VJEPA2(**SIZE, pretrained=str(file), branch=branch)
            network.init_weights()
            assert same(network, source)
    assert "V-JEPA 2 by Meta; from its weights under 'target_encoder'; not needed: pos_embed" in caplog.text
    with pytest.raises(CheckpointError, match="no weights under 'ema_encoder': it has them under encoder, target_enc"):
        VJEPA2(**SIZE, pretrained=str(file), branch="ema_encoder").init_weights()


def test_files_of_2_1_are_for_2_1_and_not_for_2(write) -> None:
    source = encoder(1, **OF_2_1)
    file = write({"ema_encoder": wrapped(source)})
    network = VJEPA2(**SIZE, **OF_2_1, pretrained=str(file))
    network.init_weights()
    assert same(network, source)
    with pytest.raises(CheckpointError, match=r"missing: norm\.weight, norm\.bias; unexpected: img_mod_embed, video_"):
        VJEPA2(**SIZE, pretrained=str(file)).init_weights()


def test_an_encoder_of_another_width_is_refused(write) -> None:
    file = write({"target_encoder": wrapped(encoder())})
    with pytest.raises(CheckpointError, match=r"of another shape: patch_embed\.proj\.weight \(24x3x2x16x16 there, 48x"):
        VJEPA2(48, 3, num_heads=2, pretrained=str(file)).init_weights()
    paths = [cached_file(f"https://dl.fbaipublicfiles.com/vjepa2/vjepa2_1_vit{size}_384.pt").path for size in "gG"]
    assert len({str(path).lower() for path in paths}) == 2


def test_an_attentive_probe_is_the_first_of_those_trained_side_by_side(write) -> None:
    probe = head(1, num_heads=8)
    others = [{f"module.{name}": tensor for name, tensor in net.state_dict().items()} for net in (probe, head(2))]
    recognizer = Recognizer3D(encoder(3), head(4, num_heads=8))
    with pytest.raises(CheckpointError, match=r"computes with num_heads=16, norm_eps=1e-05, this one does not: set"):
        load_published(recognizer, read_checkpoint(write({"classifiers": others, "epoch": 1})))
    recognizer.cls_head.num_heads = files.PROBE_HEADS
    assert load_published(recognizer, read_checkpoint(write({"classifiers": others, "epoch": 1}))).is_complete
    assert same(recognizer.cls_head, probe)
    assert same(recognizer.backbone, encoder(3))


def test_meta_has_sixteen_heads_and_transformers_those_of_the_encoder() -> None:
    settings = {kind.name: kind.head_settings(encoder()) for kind in files.FORMATS if kind.head_settings}
    assert settings == {
        "V-JEPA 2 of transformers": {"num_heads": 2, "norm_eps": 1e-6},
        "the attentive probe of V-JEPA 2 by Meta": {"num_heads": 16, "norm_eps": 1e-5},
    }


def transformers_state(source: VJEPA2, classifier: AttentiveHead | None) -> State:
    predictor = drawn(VJEPA2Predictor(24, 12, depth=1, num_heads=2, num_mask_tokens=3), 5)
    state = files.transformers_encoder(source) | files.transformers_predictor(predictor)
    if classifier is not None:
        state = {f"vjepa2.{name}": tensor for name, tensor in state.items()} | files.transformers_head(classifier)
    return {name: tensor.clone() for name, tensor in state.items()}


def test_files_of_transformers_are_read_with_their_heads_and_eps(tmp_path: Path, caplog) -> None:
    source, classifier = encoder(1), head(2, num_heads=2, norm_eps=1e-6)
    save_file(transformers_state(source, classifier), tmp_path / "model.safetensors")
    recognizer = Recognizer3D(encoder(3), head(4, num_heads=2, norm_eps=1e-6))
    with caplog.at_level(logging.INFO, "kinema"):
        load_published(recognizer, read_checkpoint(tmp_path))
    assert same(recognizer.backbone, source)
    assert same(recognizer.cls_head, classifier)
    assert "V-JEPA 2 of transformers; not needed: predictor.embeddings" in caplog.text
    with pytest.raises(CheckpointError, match="computes with num_heads=2, norm_eps=1e-06, this one does not"):
        load_published(Recognizer3D(encoder(3), head(4)), read_checkpoint(tmp_path))
    # For other classes the pooler is taken, the classifier is new.
    other = Recognizer3D(encoder(3), head(4, num_classes=9, num_heads=2, norm_eps=1e-6))
    load_published(other, read_checkpoint(tmp_path))
    assert torch.equal(other.cls_head.pooler.query_tokens, classifier.pooler.query_tokens)
    assert torch.equal(other.cls_head.linear.weight, head(4, num_classes=9).linear.weight)


def test_a_bare_model_of_transformers_is_an_encoder_with_a_new_head(tmp_path: Path, caplog) -> None:
    source = encoder(1)
    save_file(transformers_state(source, None), tmp_path / "model.safetensors")
    recognizer = Recognizer3D(encoder(3), head(4))
    with caplog.at_level(logging.INFO, "kinema"):
        load_published(recognizer, read_checkpoint(tmp_path))
    assert same(recognizer.backbone, source)
    assert same(recognizer.cls_head, head(4))
    assert "the file has no head: the classifier is new" in caplog.text


def test_names_of_transformers_and_of_predictors_by_meta() -> None:
    names = transformers_state(encoder(), head())
    for name in (
        "vjepa2.encoder.embeddings.patch_embeddings.proj.weight",
        "vjepa2.encoder.layer.2.attention.query.bias",
        "vjepa2.encoder.layer.0.attention.proj.weight",
        "vjepa2.encoder.layer.1.mlp.fc2.bias",
        "vjepa2.encoder.layernorm.weight",
        "vjepa2.predictor.layer.0.attention.value.weight",
        "pooler.query_tokens",
        "pooler.cross_attention_layer.layer_norm2.bias",
        "pooler.cross_attention_layer.cross_attn.k_proj.weight",
        "pooler.self_attention_layers.0.self_attn.v_proj.bias",
        "pooler.self_attention_layers.0.self_attn.out_proj.weight",
        "pooler.self_attention_layers.0.layer_norm1.weight",
        "classifier.bias",
    ):
        assert name in names
    predictor = VJEPA2Predictor(24, 12, depth=1, num_heads=2, num_mask_tokens=3)
    views = files.meta_predictor(predictor)
    views["mask_tokens.2"].fill_(7)
    assert predictor.mask_tokens[2].eq(7).all()
    assert {"predictor_embed.weight", "predictor_blocks.0.attn.qkv.weight", "predictor_proj.bias"} <= set(views)


def test_a_checkpoint_of_a_recognizer_of_our_own_is_loaded_as_such(write) -> None:
    source = Recognizer3D(encoder(1), head(2))
    read = read_checkpoint(write({"state_dict": source.state_dict()}))
    assert load_published(Recognizer3D(encoder(3), head(4)), read) is None
    backbone = VJEPA2(**SIZE, pretrained=str(write({"state_dict": source.state_dict()})))
    backbone.init_weights()
    assert same(backbone, source.backbone)
