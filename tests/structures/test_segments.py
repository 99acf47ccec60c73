import pytest

from kinema.structures import Segment


def test_a_segment_knows_its_length_and_segments_sort_by_start() -> None:
    late, early = Segment(2.0, 3.5, "run"), Segment(0.5, 1.0, "jump", score=0.9)
    assert late.seconds == 1.5
    assert sorted([late, early]) == [early, late]


@pytest.mark.parametrize(
    ("start", "end"), [(1.0, 1.0), (2.0, 1.0), (-0.5, 1.0), (0.0, float("inf")), (0, float("nan"))]
)
def test_a_segment_that_does_not_end_after_it_starts_is_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match=r"a segment must end after it starts, .* \(run\)"):
        Segment(start, end, "run")
