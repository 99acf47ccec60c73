import pytest

from kinema.cli.inputs import looks_like_checkpoint, require_checkpoint_first
from kinema.cli.predict import hint_of
from kinema.errors import KinemaError
from kinema.inference import Looked, Prediction


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("clips/b.mp4", "clips/deep/a.avi", "frames/img_00001.jpg", "frames/img_00002.jpg", "empty/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").touch()
    (tmp_path / "model" / "config.json").touch()
    (tmp_path / "list.txt").touch()
    (tmp_path / "tsn.py").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("checkpoint", "others", "message"),
    [
        ("clips/b.mp4", ["model"], r"b\.mp4: is a video, and model is a checkpoint: the order is USAGE"),
        ("clips", ["model"], "clips: is a folder of clips, and model is a checkpoint: the order is USAGE"),
        ("list.txt", ["model"], r"list\.txt: is a list of clips, and model is a checkpoint"),
        ("tsn.py", ["model"], r"tsn\.py: is a config, and model is a checkpoint: the order is USAGE"),
        ("empty", ["model/model.safetensors"], "empty: is no checkpoint, and model/model.safetensors is a checkpoint"),
        ("clips/b.mp4", ["clips"], r"b\.mp4: is a video, expected a checkpoint .*: the order is USAGE"),
    ],
)
def test_swapped_arguments_are_named(tree, checkpoint, others, message):
    with pytest.raises(KinemaError, match=message):
        require_checkpoint_first(checkpoint, others, "USAGE")


def test_a_checkpoint_in_its_place_is_fine(tree):
    for name in ("model", "model/model.safetensors", "https://a.b/c.pth", "absent", "empty"):
        require_checkpoint_first(name, ["clips/b.mp4"], "USAGE")
    assert not looks_like_checkpoint("https://a.b/c.mp4")


def prediction(path, *, frames=100, spans=((0, 100),), share=1.0):
    return Prediction(path, ("a",), (1.0,), Looked(frames, spans, 25.0, share))


def test_what_was_not_seen_is_said_in_one_line():
    short, long = prediction("s.mp4"), prediction("dir/l.mp4", frames=1500, spans=((725, 775),), share=0.56)
    assert hint_of([short, Prediction("x", ("a",), (1.0,))], is_default=True) == ""
    hint = hint_of([short, long], is_default=True)
    assert hint.startswith("note: the model looked at 29.0-31.0 of 60.0 s of l.mp4; the crop shows 56% of the picture")
    assert hint.endswith(
        "(--views 10x3 looks at ten clips over the whole video and at three crops that show all of the picture)"
    )
    only_long = prediction("l.mp4", frames=1500, spans=((725, 775),))
    assert hint_of([only_long], is_default=True).endswith("(--views 10x1 looks at ten clips over the whole video)")
    assert "--views 1x3 looks at three crops" in hint_of([prediction("w.mp4", share=0.5)], is_default=True)
    assert "\n" not in hint
    assert hint_of([long], is_default=False) == "", "the user chose what to look at"
    assert "of l.mp4, and not all of 2 other videos" in hint_of([long, long, long], is_default=True)
