import numpy as np
import pytest

from kinema.datasets.annotations import read_split
from kinema.datasets.inspection.clip_facts import difference_hash, look_at_clips
from kinema.datasets.inspection.near_duplicates import copies, similar_pairs


def pictures(seed, count, height=90, width=120):
    """(count, height, width, 3) uint8: smooth pictures, each another."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, 6, 8, 1))
    return np.repeat(np.repeat(coarse, height // 6, 1), width // 8, 2).repeat(3, 3).astype(np.uint8)


def test_clips_are_measured_and_what_cannot_be_read_is_named(tmp_path, make_video):
    make_video(tmp_path / "long.mp4", num_frames=20, fps=10, size=(64, 48))
    make_video(tmp_path / "tall.mp4", num_frames=10, fps=20, size=(32, 96))
    (tmp_path / "bad.mp4").write_bytes(b"junk")
    (tmp_path / "all.csv").write_text("path,label,start,end\nlong.mp4,0,0.5,1.5\ntall.mp4,1,,\nbad.mp4,1,,\n")
    split = read_split(tmp_path / "all.csv")
    seen = []
    facts = look_at_clips(split, pictures=True, seen=lambda: seen.append(1))
    assert (facts.places.tolist(), facts.seconds.tolist(), facts.fps.tolist()) == ([0, 1], [1.0, 0.5], [10.0, 20.0])
    assert (facts.short_sides.tolist(), len(seen), facts.num_looked_at, facts.num_clips) == ([48, 32], 3, 3, 3)
    assert facts.bits.shape == (2, 3)
    assert facts.known.sum() == 0  # flat grey pictures say nothing
    assert [(clip.place, "bad.mp4" in clip.error) for clip in facts.unreadable] == [(2, True)]
    few = look_at_clips(split, most=1)
    assert (few.places.tolist(), few.bits.shape) == ([0], (1, 0))
    assert len(look_at_clips(split, most=0)) == 0
    assert look_at_clips(split, seconds=0).num_looked_at == 0


def test_a_hash_stands_smaller_and_noisier_pictures_and_knows_others_apart():
    frames = pictures(0, 6)
    noisy = np.clip(frames + np.random.default_rng(1).normal(0, 4, frames.shape), 0, 255).astype(np.uint8)[:, ::2, ::2]

    def hashes(images):
        return tuple(
            np.array(column, dtype=np.uint64)[:, None] for column in zip(*map(difference_hash, images), strict=True)
        )

    pairs = similar_pairs(hashes(frames[:4]), hashes(noisy[2:]))  # of the second set the first two are in the first
    assert [(pair.first, pair.second) for pair in sorted(pairs, key=lambda pair: pair.second)] == [(2, 0), (3, 1)]
    assert max(pair.difference for pair in pairs) < 0.1
    assert (
        similar_pairs(hashes(np.full((2, 90, 120, 3), 99, np.uint8)), hashes(np.full((1, 90, 120, 3), 99, np.uint8)))
        == []
    )


@pytest.mark.parametrize("size", [10, 5 << 20])
def test_files_of_one_content_are_copies(tmp_path, size):
    for name, content in (("a", b"x" * size), ("b", b"y" * size), ("c", b"x" * size), ("empty", b""), ("none", b"")):
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in ("a", "b", "c", "empty", "none", "gone", "a")]
    assert copies(paths) == [[0, 2]]
