"""`kinema recipes`, and `kinema train --recipe` and `--data`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kinema.cli.config_or_clips import DEFAULT_MODEL
from kinema.cli.main import app
from kinema.datasets.synthetic import make_motion_dataset
from kinema.recipes import classification as recipe_module
from kinema.recipes.published import RECIPES


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "300"})


def test_recipes_are_listed_with_their_source() -> None:
    shown = run("recipes").stdout
    for recipe in RECIPES.values():
        line = next(line for line in shown.splitlines() if line.split()[:1] == [recipe.name])
        assert recipe.source in line
    assert [row["name"] for row in json.loads(run("recipes", "--json").stdout)] == list(RECIPES)


def test_one_recipe_is_shown_in_full() -> None:
    shown = run("recipes", "csn").stdout
    assert "ircsn_ig65m-pretrained-r50-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb" in shown
    assert "ircsn_r152: https://download.openmmlab.com/mmaction/recognition/csn/ircsn_from_scratch_r152" in shown
    (facts,) = json.loads(run("recipes", "tsm", "--json").stdout)
    assert (facts["lr"], facts["batch"], facts["drops"]) == (0.02, 128, [25, 45])
    assert "no recipe is called 'tsmm': did you mean tsm" in str(run("recipes", "tsmm").exception)
    assert "no recipe is called 'auto'" in str(run("recipes", "auto").exception)


def test_data_is_given_once() -> None:
    for arguments in ((), ("clips", "--data", "clips")):
        assert run("train", *arguments).exit_code == 2


def test_a_recipe_goes_with_clips_only(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("train_cfg = dict(max_epochs=3)\n")
    message = "loss and blending: --recipe goes with DATA only"
    assert message in str(run("train", tmp_path / "config.py", "--recipe", "tsn").exception)


def test_help_names_the_default_model() -> None:
    assert recipe_module.__globals__["DEFAULT_MODEL"] == DEFAULT_MODEL


@pytest.mark.slow
def test_a_recipe_trains_from_the_command_line(tmp_path: Path) -> None:
    clips = make_motion_dataset(tmp_path / "clips", num_train=8, num_val=8, num_frames=8, size=(32, 32))
    work = tmp_path / "work"
    options = ("--epochs", 1, "--workers", 0, "--work-dir", work, "--json")
    trained = run("train", "--recipe", "compact3d", "--data", clips.root, *options)
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["data"]["recipe"] == "compact3d"
    folds = run("train", clips.root, "--recipe", "auto", "--folds", 2, *options)
    assert folds.exit_code == 0, folds.output
