import numpy as np

from kinema.datasets.inspection.shortcuts import find_shortcuts
from kinema.datasets.inspection.survey import survey_dataset
from kinema.video import write_video


def test_a_fact_that_tells_the_class_is_found_and_one_that_does_not_is_none():
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    facts = {
        "duration": labels * 2.0 + generator.normal(0, 0.3, 60),
        "frame rate": generator.choice([25.0, 30.0], 60),
        "frame size": np.full(60, 7.0),
    }
    first, second = find_shortcuts(facts, labels, range(60))
    assert (first.name, first.tells, round(first.chance, 3)) == ("duration", True, 0.333)
    assert first.accuracy > 0.95 > 0.6 > first.lucky
    assert (second.name, second.tells) == ("frame rate", False)
    assert find_shortcuts(facts, labels, range(60))[0] == first  # the same each time


def test_what_only_clips_of_one_source_share_tells_nothing():
    labels = np.repeat([0, 1], 30)
    sources = np.repeat(np.arange(12), 5)
    durations = np.random.default_rng(0).normal(0, 1, 12)[sources]  # of the source, not of the class
    assert [shortcut.tells for shortcut in find_shortcuts({"duration": durations}, labels, sources)] == [False]
    assert find_shortcuts({"duration": durations}, labels, np.repeat([0, 1, 2], 20)) == []  # too few sources
    assert find_shortcuts({"duration": durations}, np.zeros(60, int), sources) == []


def moving(seed, num_frames, jitter=0.0):
    """Frames of a picture that is of its seed alone, with some noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 1))
    frame = np.repeat(np.repeat(coarse, 10, 0), 10, 1).repeat(3, 2)
    noise = np.random.default_rng(99).normal(0, jitter, (num_frames, *frame.shape))
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def test_each_fault_of_the_contents_is_said_with_its_clips(tmp_path):
    for part, numbers in (("train", range(16)), ("val", range(100, 104))):
        for number in numbers:
            label = number % 2
            path = tmp_path / part / ("run", "walk")[label] / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, moving(number, 6 if label else 18), 10)
    clip = tmp_path / "train" / "run" / "0.mp4"
    (tmp_path / "train" / "walk" / "again.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "val" / "run" / "other_name.mp4").write_bytes(clip.read_bytes())
    for number in (2, 3):
        path = tmp_path / "val" / ("run", "walk")[number % 2] / f"filmed_again_{number}.mp4"
        write_video(path, moving(number, 6 if number % 2 else 18, jitter=3.0), 10)

    survey = survey_dataset(tmp_path, pictures=True)
    problems = {problem.kind: problem for problem in survey.problems}
    assert set(problems) == {"copy in both parts", "contradicting copy", "same scene in both parts", "telling fact"}
    assert "run/other_name.mp4" in problems["copy in both parts"].examples[0]
    scenes = problems["same scene in both parts"]
    assert scenes.message.startswith("3 of 7 clips of val look almost like a clip of train")
    assert scenes.message.endswith("(17 x 7 clips compared)")
    assert {example.split(" ~ ")[0] for example in scenes.examples} == {
        "run/other_name.mp4",
        "run/filmed_again_2.mp4",
        "walk/filmed_again_3.mp4",
    }
    assert "the duration of a clip alone tells its class in " in problems["telling fact"].message
    assert "same scene in both parts" not in {problem.kind for problem in survey_dataset(tmp_path).problems}


def test_clips_that_end_behind_their_video_are_named(tmp_path, make_video):
    make_video(tmp_path / "long.mp4", num_frames=20, fps=10)
    for name, unit, late in (("seconds.csv", "", 25), ("frames.csv", "_frame", 250)):
        lines = [
            f"path,start{unit},end{unit},label",
            f"long.mp4,0,1,{name}",
            f"long.mp4,1,{late},other",
            "long.mp4,0,,other",
        ]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        problems = [problem for problem in survey_dataset(tmp_path / name).problems if problem.kind == "past the end"]
        assert [(problem.count, problem.examples) for problem in problems] == [(1, (f"{tmp_path / name}:3: long.mp4",))]
        assert "all: 1 clip of 3 looked at end up to 23.0 s behind the end of their video" in problems[0].message
