import csv

import numpy as np
import pytest

from kinema.inference.bouts import BoutStatistics, bout_statistics, write_bouts
from kinema.structures import Segment


def test_bouts_are_counted_by_their_definition():
    segments = [Segment(6, 7, "run"), Segment(1, 3, "run"), Segment(4, 4.5, "run"), Segment(0, 10, "sit")]
    run, sit, jump = bout_statistics(segments, duration_seconds=10, classes=["run", "sit", "jump"], video="v")
    assert run == BoutStatistics("v", "run", 3, 3.5, 0.35, pytest.approx(3.5 / 3), 1.0, 2.0, 1.0)
    assert (sit.count, sit.share, sit.latency_seconds) == (1, 1.0, 0.0)
    assert jump == BoutStatistics("v", "jump", 0, 0.0, 0.0, None, None, None, None)
    assert [one.label for one in bout_statistics(segments, duration_seconds=10)] == ["run", "sit"]
    assert [one.label for one in bout_statistics(segments, duration_seconds=10, classes=["sit"])] == ["sit"]


def test_what_segments_share_counts_once():
    random = np.random.default_rng(0)
    starts, lengths = random.integers(0, 90, 30), random.integers(1, 10, 30)
    segments = [Segment(float(a), float(a + n), "run") for a, n in zip(starts, lengths, strict=True)]
    covered = len({second for a, n in zip(starts, lengths, strict=True) for second in range(a, a + n)})
    (run,) = bout_statistics(segments, duration_seconds=100)
    assert (run.count, run.total_seconds, run.share) == (30, covered, pytest.approx(covered / 100))


def test_a_video_without_length_is_refused():
    with pytest.raises(ValueError, match="duration_seconds must be above 0, got 0"):
        bout_statistics([], duration_seconds=0)


def test_the_table_is_read_back_and_holds_no_formula(tmp_path):
    statistics = bout_statistics(
        [Segment(0.5, 1, "=cmd()")], duration_seconds=3, classes=["=cmd()", "sit"], video="v,1"
    )
    write_bouts(tmp_path / "bouts.csv", statistics)
    with (tmp_path / "bouts.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["video"], first["label"], first["total_seconds"], first["share"]) == (
        "v,1",
        "'=cmd()",
        "0.500",
        "0.167",
    )
    assert (second["count"], second["latency_seconds"]) == ("0", "")
