"""Our V-JEPA 2 gives what transformers' own code gives, with its weights: encoder, predictor and classifier."""

from pathlib import Path

import pytest
import torch
from torch import nn

from kinema.checkpoints.file_formats import load_published
from kinema.checkpoints.reading import read_checkpoint
from kinema.models import Recognizer3D
from kinema.models.backbones.tokens import vjepa_files as files
from kinema.models.backbones.tokens.vjepa import VJEPA2
from kinema.models.backbones.tokens.vjepa_predictor import VJEPA2Predictor
from kinema.models.heads.attentive import AttentiveHead

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
SIZE = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "mlp_ratio": 2.5,
    "crop_size": 64,
    "pred_hidden_size": 36,
    "pred_num_attention_heads": 2,
    "pred_num_hidden_layers": 2,
    "pred_num_mask_tokens": 4,
    "num_pooler_layers": 2,
    "num_labels": 7,
}


def drawn(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2)
    return module.eval()


def ours() -> VJEPA2:
    return VJEPA2(48, 3, num_heads=3, mlp_ratio=2.5).eval()


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert (actual - expected).abs().max() < 2e-6 * expected.abs().max()


@torch.no_grad()
def test_encoder_and_predictor(tmp_path: Path) -> None:
    theirs = drawn(transformers.VJEPA2Model(transformers.VJEPA2Config(**SIZE)))
    theirs.save_pretrained(tmp_path)
    encoder = ours()
    encoder.load_pretrained(str(tmp_path))
    clips = torch.randn(2, 3, 4, 64, 64)
    expected = theirs(clips.transpose(1, 2))
    (tokens,) = encoder.tokens(clips)
    assert_close(tokens, expected.last_hidden_state)
    predictor = VJEPA2Predictor(48, 36, depth=2, num_heads=2, num_mask_tokens=4).eval()
    views, state = files.transformers_predictor(predictor), theirs.state_dict()
    for name, view in views.items():
        view.copy_(state[name])
    everything = torch.arange(32).expand(2, -1)
    predicted = predictor(tokens, (2, 4, 4), everything, everything)
    assert_close(predicted, expected.predictor_output.last_hidden_state)


@torch.no_grad()
def test_classifier(tmp_path: Path) -> None:
    theirs = drawn(transformers.VJEPA2ForVideoClassification(transformers.VJEPA2Config(**SIZE)))
    theirs.save_pretrained(tmp_path)
    head = AttentiveHead(7, 48, num_heads=3, depth=3, norm_eps=1e-6)
    model = Recognizer3D(ours(), head).eval()
    assert load_published(model, read_checkpoint(tmp_path)).is_complete
    clips = torch.randn(2, 3, 4, 64, 64)
    assert_close(head(model.backbone(clips)), theirs(clips.transpose(1, 2)).logits)
