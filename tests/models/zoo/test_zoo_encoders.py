"""Today's encoders in the zoo: their sizes are the published ones, their files say what they are."""

import pytest
import torch

from kinema.models import InternVideo2Head, zoo
from kinema.models.zoo.creation import _published_classes
from kinema.registry import MODELS

# Parameters of the authors' own networks with 400 classes.
PARAMETERS = {
    "internvideo2_1b": 1_021_017_744,
    "internvideo2_6b": 5_942_044_304,
    "internvideo2_base": 89_748_112,
    "internvideo2_large": 309_238_416,
    "internvideo2_small": 23_352_976,
    "umt_vit_base": 85_944_976,
    "umt_vit_large": 303_484_304,
    "videomae_vit_base": 86_534_800,
    "videomae_vit_huge": 632_119_440,
    "videomae_vit_large": 304_270_736,
    "videomae_vit_small": 22_033_936,
    "videomaev2_vit_giant": 1_012_174_352,
}


def parameters_of(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if "small" in name else [pytest.mark.slow]) for name in PARAMETERS]
)
def test_sizes_are_those_of_the_authors(name: str) -> None:
    with torch.device("meta"):
        assert parameters_of(MODELS.build(zoo.model_config(name))) == PARAMETERS[name]


def test_a_head_of_attentive_probing_has_its_further_layers() -> None:
    plain, probing = (InternVideo2Head(400, 768, extra_mlp=extra) for extra in (False, True))
    assert parameters_of(probing) - parameters_of(plain) == 1_025_741_712 - 1_021_017_744


def test_files_of_videomae_may_not_be_used_in_commerce_and_those_of_its_second_version_may() -> None:
    cards = [zoo.card(name) for name in zoo.names("videomae*") if zoo.card(name).weights]
    bound = {card.name.partition("_")[0]: card.weights.non_commercial for card in cards}
    assert bound == {"videomae": True, "videomaev2": False}


@pytest.mark.parametrize("family", ["umt_*", "internvideo2_*"])
def test_classes_in_an_order_of_their_own_get_no_names(family: str) -> None:
    cards = [zoo.card(name) for name in zoo.names(family) if zoo.card(name).weights]
    assert len(cards) >= 10
    assert all(card.weights.own_order and card.input.spread for card in cards)
    small = min(cards, key=lambda card: card.params_millions)
    with torch.device("meta"):
        assert _published_classes(small, MODELS.build(zoo.model_config(small.name))) == ()


def test_longer_clips_have_the_positions_of_shorter_ones_stretched() -> None:
    config = zoo.model_config("umt_vit_large_f16")["backbone"]
    assert (config["num_frames"], config["tubelet_size"], config["pos_grid"]) == (16, 1, [8, 14, 14])
