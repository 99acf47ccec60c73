"""How much is motion, as a report says it."""

from pathlib import Path

import pytest

from kinema.inference import load
from kinema.recipes.reporting import measure, motion_part
from kinema.recipes.reporting.motion_part import measure_motion, motion_section
from kinema.recipes.reporting.run_files import clips_of_run, run_files


def test_of_many_clips_some_that_are_evenly_spread_are_seen_in_other_orders(
    small_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_files(str(small_run / "checkpoints" / "step_00000004"))
    recognizer = load(small_run)
    measured = measure(recognizer, clips_of_run(run, "val"), name="run", workers=0)
    whole = measure_motion(recognizer, measured, workers=0)
    assert whole.unchanged.num_clips == 16
    assert measured.evaluation is not None
    assert whole.unchanged.value == measured.evaluation.metrics.get("acc/top1", whole.unchanged.value)
    monkeypatch.setattr(motion_part, "MOST_CLIPS", 5)
    some = measure_motion(recognizer, measured, workers=0)
    assert some.unchanged.num_clips == 5
    hits = (measured.predicted == measured.labels)[[0, 4, 8, 11, 15]]
    assert some.unchanged.value == pytest.approx(hits.mean())
    section = motion_section(some)
    names = [row.name for row in section.values["rows"]]
    assert names == [
        "frames as they are",
        "frames in a random order",
        "frames backwards",
        "the middle frame repeated",
    ]
    assert section.note == some.sentence
