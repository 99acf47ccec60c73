"""The contract of a checkpoint: what `config.json` holds comes back, and what is wrong in it is named."""

import json
from pathlib import Path

import pytest

from kinema.checkpoints import ModelContract
from kinema.checkpoints.contract import config_text
from kinema.errors import CheckpointError

SAMPLING = [{"type": "SampleFrames", "clip_len": 4}]
PREPROCESSING = [{"type": "PackActionInputs"}]
WHOLE = ModelContract(
    model={"type": "Recognizer3D"},
    classes=("run", "sit"),
    sampling=SAMPLING,
    preprocessing=PREPROCESSING,
    metrics={"acc/top1": 0.5},
    best={"epoch": 3},
    zoo_name="compact3d",
    further={"note": "kept"},
)


def write(folder: Path, content: object) -> Path:
    (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.mark.parametrize("contract", [WHOLE, ModelContract()])
def test_what_is_written_is_read_again(tmp_path: Path, contract: ModelContract) -> None:
    assert ModelContract.read(write(tmp_path, config_text(contract.to_config()))) == contract


def test_folders_of_format_1_are_read_whatever_they_lack(tmp_path: Path) -> None:
    old = {"format": 1, "kinema_version": "0.0.1", "model": None, "sampling": None, "classes": ["a"]}
    assert ModelContract.read(write(tmp_path, old)) == ModelContract(classes=("a",))
    assert ModelContract.read(write(tmp_path, {})) == ModelContract()


def test_what_is_unknown_is_null_in_the_file_and_what_was_not_measured_is_not_there() -> None:
    unknown = {"model": None, "classes": [], "sampling": None, "preprocessing": None}
    assert ModelContract().to_config() == unknown
    assert list(json.loads(config_text(unknown)))[:2] == ["format", "kinema_version"]


def test_a_pipeline_is_kept_as_its_parts_and_put_together_again() -> None:
    steps = [{"type": "OpenVideo"}, *SAMPLING, {"type": "DecodeVideo"}, *PREPROCESSING]
    contract = ModelContract().with_pipeline(steps)
    assert (contract.sampling, contract.preprocessing, contract.pipeline) == (SAMPLING, PREPROCESSING, steps)
    of_frames = contract.with_pipeline([{"type": "RawFrameDecode"}])
    assert of_frames.sampling is of_frames.preprocessing is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": []}, "expected an object for 'model', got a list"),
        ({"metrics": 0.5}, "expected an object for 'metrics', got a float"),
        ({"best": "first"}, "expected an object for 'best', got a str"),
        ({"sampling": {}}, "expected a list of transforms for 'sampling', got a dict"),
        ({"preprocessing": "x"}, "expected a list of transforms for 'preprocessing', got a str"),
        ({"zoo_name": 3}, "expected a name for 'zoo_name', got a int"),
        ({"classes": "abc"}, "its classes are no list of names"),
        ({"classes": ["a" * 3000]}, "one of its classes has a name of more than 2000 characters"),
        ({"format": 0}, "'format' must be a whole number above 0, got 0"),
        ({"format": 2}, "is of format 2, this Kinema .* reads up to 1: it was written by a newer Kinema"),
    ],
)
def test_an_entry_of_another_type_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(CheckpointError, match=rf"config\.json: {message}"):
        ModelContract.read(write(tmp_path, {**WHOLE.to_config(), **changes}))


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is no JSON file that can be read"), ("[" * 100_000, "is no JSON file"), ("[]", "expected a JSON object")],
)
def test_a_file_that_holds_no_object_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=rf"config\.json: {message}"):
        ModelContract.read(write(tmp_path, content))


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("model", "trained from Python objects, not from a config"),
        ("sampling", "trained on something else than videos"),
        ("preprocessing", "trained on something else than videos"),
    ],
)
def test_a_contract_that_cannot_be_built_from_says_what_it_lacks(missing: str, why: str) -> None:
    config = {**WHOLE.to_config(), missing: None}
    with pytest.raises(CheckpointError, match=rf"^a: does not say .* \('{missing}' is missing\): it was {why}"):
        ModelContract.from_config(config, "a").require_whole("a")
    WHOLE.require_whole("a")


def test_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="the config of a checkpoint must be plain dicts, lists, texts and numbers: "):
        config_text({"model": object()})


def test_what_was_tuned_travels_with_the_weights() -> None:
    contract = ModelContract(clip_seconds=2.1, thresholds={"run": 0.4}, temperature=1.5)
    assert ModelContract.from_config(contract.to_config(), "config.json") == contract


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"clip_seconds": 0}, r"c\.json: 'clip_seconds' must be above 0 and at most 86400, got 0"),
        ({"clip_seconds": True}, r"c\.json: 'clip_seconds' must be above 0"),
        ({"clip_seconds": "2"}, r"c\.json: expected a number for 'clip_seconds', got a str"),
        ({"temperature": float("nan")}, r"c\.json: 'temperature' must be above 0 and at most 1000, got nan"),
        ({"thresholds": [0.5]}, r"c\.json: expected an object for 'thresholds', got a list"),
        (
            {"thresholds": {"run": 1.5}},
            r"'thresholds' must hold a number from 0 to 1 for a class name, got 1.5 for 'run'",
        ),
    ],
)
def test_a_number_of_the_contract_that_is_out_of_range_is_refused(entry: dict, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        ModelContract.from_config(entry, "c.json")
