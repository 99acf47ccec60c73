"""Names for messages: the nearest, or a part of many."""

import pytest

from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.spelling import SHOWN, nearest, suggestion


def test_the_nearest_names_come_first_whatever_their_letter_case() -> None:
    assert nearest("resize", ["Resize", "Reshape", "Flip"])[0] == "Resize"
    assert nearest("zzz", ["Resize", "Flip"]) == []


def test_a_suggestion_lists_all_of_a_few_names_and_a_part_of_many() -> None:
    assert suggestion("zzz", []) == "there are: none"
    assert suggestion("zzz", ["b", "a"]) == "there are: b, a"
    assert suggestion("flap", ["flip", "crop"], "look there") == "did you mean flip? look there"
    many = [f"name{number}" for number in range(SHOWN + 3)]
    assert suggestion("zzz", many).endswith(f"name{SHOWN - 1} and 3 more")
    assert suggestion("zzz", many, "look there").endswith(f"name{SHOWN - 1} and 3 more; look there")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        *(
            ("vjepa2", "vjepa2_"),
            ("swin_tiny", "swin_t "),
            ("VideoMAE", "videomae_"),
            ("internvideo2", "internvideo2_"),
        ),
        *(
            ("tsnn", "tsn_"),
            ("vdeomae_base", "videomae_"),
            ("umt", "umt_vit_base "),
            ("i3d", "i3d_r50 "),
            ("vjepa2", "vjepa2_"),
            ("slowfest_r50", "slowfast_r50 "),
        ),
    ],
)
def test_a_model_is_near_to_others_of_its_family(name: str, first: str) -> None:
    with pytest.raises(ConfigError, match=f"no model is called '{name}': did you mean {first}") as caught:
        zoo.card(name)
    assert len(str(caught.value)) < 150


def test_no_message_lists_all_models() -> None:
    with pytest.raises(ConfigError, match=r"'zzz': there are: .* and \d+ more; `kinema models` lists all$") as caught:
        zoo.card("zzz")
    assert len(str(caught.value)) < 500
