"""Models beside each other."""

from pathlib import Path

import numpy as np
import pytest

from kinema.errors import ConfigError
from kinema.inference import load
from kinema.recipes.reporting import Measured, measure
from kinema.recipes.reporting.comparing import Rated, comparison_section, paired, with_classes_of
from kinema.recipes.reporting.run_files import RunFiles, clips_of_run, run_files
from kinema.recipes.reporting.scores import calibration_figures, reliability
from kinema.recipes.reporting.sections import data_section, figures_of


@pytest.fixture(scope="module")
def plain(small_run: Path) -> Measured:
    """Scores of the run's validation clips."""
    run = run_files(str(small_run / "checkpoints" / "step_00000004"))
    return measure(load(small_run), clips_of_run(run, "val"), name="plain", workers=0)


def rated(measured: Measured, name: str, right: int) -> Rated:
    """A model that gets the first `right` of the clips."""
    truth = measured.labels.copy()
    truth[right:] = (truth[right:] + 1) % 8
    scores = np.full((16, 8), 0.02)
    scores[np.arange(16), truth] = 0.86
    made = Measured(name, measured.classes, measured.split, measured.places, measured.labels, scores)
    figures = {**figures_of(made, None), **calibration_figures(reliability(made, None))}
    return Rated(name, made, figures, RunFiles(), 1000)


def test_figures_classes_and_changed_clips_of_two_models_are_set_side_by_side(plain: Measured) -> None:
    shown = comparison_section([rated(plain, "a", 8), rated(plain, "b", 12)], shown_clips=3).values
    assert [(row.name, row.cells[0].value) for row in shown["rows"]] == [("a", "50.0%"), ("b", "75.0%")]
    assert shown["columns"][2:5] == ["mean of the classes", "top-1 against a", "p-value"]
    assert [row.cells[3].value for row in shown["rows"]] == ["–", "+25.0 points"]  # noqa: RUF001
    assert shown["rows"][1].cells[4].value == f"{2 * 0.5**4:.2g}"  # 4 of 4 clips in favour of b
    (group,) = shown["groups"]  # none is right in a only
    assert group.title == "Right in b, wrong in a: 4 clips"
    assert len(group.cards) == 3
    kinds = [line.kind for line in group.cards[0].lines]
    assert kinds == ["", "bad", "good"]
    spreads = [row.spread for row in shown["classes"]]
    assert spreads == sorted(spreads, reverse=True)
    assert sum(row.clips for row in shown["classes"]) == 16


def test_models_of_other_classes_cannot_be_compared(plain: Measured) -> None:
    other = Measured("b", ("x", "y"), plain.split, plain.places, plain.labels, plain.scores[:, :2])
    with pytest.raises(ConfigError, match="b knows other classes than the first model: models can be compared"):
        with_classes_of(plain, other)


def test_models_without_a_common_clip_cannot_be_compared(plain: Measured) -> None:
    first, last = (
        Measured("b", plain.classes, plain.split, plain.places[part], plain.labels[part], plain.scores[part])
        for part in (slice(8), slice(8, None))
    )
    with pytest.raises(ConfigError, match="a and b have no clip in common that both could read"):
        paired(Rated("a", first, {}, RunFiles(), 1), Rated("b", last, {}, RunFiles(), 1))


def test_a_model_that_was_trained_on_the_clips_is_named(plain: Measured) -> None:
    problems = data_section(plain, {"a": None, "b": plain.split}).values["problems"]
    assert [problem.message for problem in problems] == [
        "b was trained on 16 of the measured clips: its figures are too good."
    ]
