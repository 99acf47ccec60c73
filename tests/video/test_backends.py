"""The decoding libraries behind one interface: names, absence, sources, rotation, broken files."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from kinema.compat.finder import install_finder, uninstall_finder
from kinema.errors import MissingDependencyError, VideoError
from kinema.real_modules import real_modules
from kinema.video import VideoReader, installed_backends, open_backend, write_video
from kinema.video.backends import Backend

NAMES = ("torchcodec", "decord", "opencv")


def levels(frames: np.ndarray) -> list[float]:
    return frames.mean(axis=(1, 2, 3)).tolist()


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Each backend that is installed."""
    if (reason := installed_backends()[request.param]) is not None:
        pytest.skip(f"{request.param}: {reason}")
    return request.param


# ---- which libraries are there


@pytest.fixture
def no_decord() -> Iterator[None]:
    """No module of this name is imported; what a test imports under it is forgotten."""

    def take() -> dict:
        return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "decord"}

    modules, real = take(), dict(real_modules)
    real_modules.clear()
    yield
    take()
    sys.modules.update(modules)
    real_modules.clear()
    real_modules.update(real)


def test_the_decoders_that_kinema_needs_load() -> None:
    found = installed_backends()
    assert list(found) == ["pyav", "opencv", "torchcodec", "decord"]
    assert found["pyav"] is None
    assert found["opencv"] is None


@pytest.mark.usefixtures("no_decord")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", None),
        (
            "raise OSError('libavutil.so.59: cannot open shared object file\\nmore')",
            "OSError: libavutil.so.59: cannot open",
        ),
        ("raise RuntimeError", "RuntimeError: no message"),
        ("import a_library_that_is_not_there", "needs a_library_that_is_not_there, which is not installed"),
        ("from os import nothing_of_that_name", "ImportError: cannot import name 'nothing_of_that_name'"),
    ],
)
def test_the_reason_why_a_library_does_not_load_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str | None
) -> None:
    (tmp_path / "decord.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    found = installed_backends()["decord"]
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(reason)
        assert "\n" not in found


@pytest.mark.usefixtures("no_decord")
def test_a_library_that_is_not_there_is_said_to_be_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert installed_backends()["decord"] == "not installed"


@pytest.mark.usefixtures("no_decord")
def test_an_absent_library_is_an_error_with_its_reason_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_video: Callable[..., Path]
) -> None:
    path = make_video()
    (tmp_path / "decord.py").write_text("raise OSError('libavutil.so.59: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    expected = r"'decord' is absent \(OSError: libavutil.so.59: cannot open\): pip install 'kinema\[decord\]'"
    with pytest.raises(MissingDependencyError, match=expected):
        open_backend("decord", path)


@pytest.mark.usefixtures("no_decord")
def test_the_decord_that_counts_is_the_real_one_also_under_the_shim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "decord.py").write_text("raise OSError('the real one')")
    monkeypatch.syspath_prepend(tmp_path)
    install_finder()
    try:
        import decord

        assert decord.__kinema__
        assert installed_backends()["decord"] == "OSError: the real one"
    finally:
        uninstall_finder()


@pytest.mark.parametrize("unknown", ["ffmpeg", "", "torchcodec:", "torchcodec:gpu", "decord:cuda"])
def test_an_unknown_name_is_an_error_that_names_the_known_ones(unknown: str) -> None:
    with pytest.raises(
        ValueError, match="no video backend .*: use one of auto, pyav, torchcodec, torchcodec:cuda, decord"
    ):
        open_backend(unknown, "video.mp4")


def test_pyav_is_a_backend_like_the_others(make_video: Callable[..., Path]) -> None:
    backend = open_backend("pyav", make_video())
    assert backend.num_frames == 20
    assert backend.decode(np.array([3, 7])).shape == (2, 48, 64, 3)
    backend.close()


# ---- what every backend does with a good file


def test_a_backend_tells_number_rate_size_and_times_of_the_frames(name: str, make_video: Callable[..., Path]) -> None:
    video = open_backend(name, make_video(num_frames=20, size=(64, 48), fps=10))
    assert (video.num_frames, video.width, video.height) == (20, 64, 48)
    assert video.fps == pytest.approx(10)
    assert video.timestamps_seconds.dtype == np.float64
    np.testing.assert_allclose(video.timestamps_seconds, np.arange(20) / 10, atol=1e-6)


def test_frames_are_those_asked_for_in_any_order_of_calls(
    name: str, make_video: Callable[..., Path], grey_level: Callable[[int], int]
) -> None:
    video = open_backend(name, make_video(), num_threads=2)
    for indices in ([3, 4, 17], [0], [19], [2, 18]):
        frames = video.decode(np.array(indices))
        assert (frames.shape, frames.dtype) == ((len(indices), 48, 64, 3), np.uint8)
        assert levels(frames) == pytest.approx([grey_level(index) for index in indices], abs=2)


def test_colours_are_red_green_blue(name: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "red.mp4", [np.full((48, 64, 3), (200, 30, 10), np.uint8)] * 3, 10)
    (frame,) = open_backend(name, path).decode(np.array([1]))
    assert frame.mean(axis=(0, 1)).tolist() == pytest.approx([200, 30, 10], abs=4)


def test_bytes_and_file_objects_are_sources_too(
    name: str, make_video: Callable[..., Path], grey_level: Callable[[int], int]
) -> None:
    path = make_video()
    with path.open("rb") as file:
        for source in (path.read_bytes(), file):
            video: Backend = open_backend(name, source)
            assert levels(video.decode(np.array([5]))) == pytest.approx([grey_level(5)], abs=2)
            video.close()
            video.close()


def test_a_colon_or_a_number_sign_in_a_file_name_is_no_protocol_and_no_series(
    name: str, make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for odd in ("a:b.mp4", "img_%02d.mp4"):
        assert open_backend(name, make_video(odd)).decode(np.array([0])).shape == (1, 48, 64, 3)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_rotation_is_applied_or_left(
    name: str,
    quarter_turns: int,
    tmp_path: Path,
    moving_frames: list[np.ndarray],
    ask_for_rotation: Callable[[Path, int], None],
) -> None:
    path = write_video(tmp_path / "turned.mp4", moving_frames[:3], 10)
    ask_for_rotation(path, quarter_turns)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        stored = frame.to_ndarray(format="rgb24")
    assert round(frame.rotation / 90) % 4 == 4 - quarter_turns  # FFmpeg counts against the clock
    for rotate, expected in ((True, np.rot90(stored, -quarter_turns)), (False, stored)):
        video = open_backend(name, path, rotate=rotate)
        (frame,) = video.decode(np.array([0]))
        assert np.array_equal(frame, expected)
        assert frame.shape[:2] == (video.height, video.width)


def test_a_torchcodec_that_does_not_know_of_rotation_is_refused() -> None:
    from kinema.video.backends.torchcodec import _applied_quarter_turns

    assert _applied_quarter_turns(SimpleNamespace(rotation=-90.0)) == 3
    with pytest.raises(
        MissingDependencyError, match=r"does not know of rotated videos: pip install 'torchcodec>=0.11'"
    ):
        _applied_quarter_turns(SimpleNamespace())


def test_torchcodec_without_a_cuda_device_says_so(make_video: Callable[..., Path]) -> None:
    torch = pytest.importorskip("torch")
    if installed_backends()["torchcodec"] is not None:
        pytest.skip("torchcodec is not there")
    device = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(MissingDependencyError, match=rf"'torchcodec:{device}' is absent: torch sees \d+ CUDA devices"):
        open_backend(f"torchcodec:{device}", make_video())


def test_torchcodec_decodes_on_a_cuda_device(make_video: Callable[..., Path], grey_level: Callable[[int], int]) -> None:
    torch = pytest.importorskip("torch")
    if installed_backends()["torchcodec"] is not None or not torch.cuda.is_available():
        pytest.skip("no torchcodec with a CUDA device")
    frames = open_backend("torchcodec:cuda", make_video(size=(320, 240))).decode(np.array([2, 7]))
    assert frames.shape == (2, 240, 320, 3)
    assert levels(frames) == pytest.approx([grey_level(2), grey_level(7)], abs=3)


# ---- and with broken ones


def test_what_is_no_video_is_refused_in_one_line_that_names_the_file(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text, empty = tmp_path / "text.mp4", tmp_path / "empty.mp4"
    text.write_text("this is no video\n" * 100)
    empty.touch()
    for source, reason in (
        (text, "text.mp4: is "),
        (empty, "empty.mp4: is empty"),
        (tmp_path / "absent.mp4", "absent.mp4: no such file"),
        (tmp_path, "is a folder"),
        (b"", "0 bytes"),
    ):
        with pytest.raises(VideoError, match=reason) as caught:
            open_backend(name, source)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""  # no library saw them


def test_a_damaged_frame_is_an_error_and_the_frames_before_stay_good(
    name: str, make_video: Callable[..., Path], grey_level: Callable[[int], int]
) -> None:
    path = make_video(options={"bf": "0"})
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0)][12]
    content = bytearray(path.read_bytes())
    content[place : place + 4] = b"\xff\xff\xff\xff"  # the size of what follows
    path.write_bytes(content)
    video = open_backend(name, path)
    for _ in range(2):
        with pytest.raises(VideoError, match=r"video\.mp4: .*decode") as caught:
            video.decode(np.array([3, 12]))
        assert "\n" not in str(caught.value)
        if name == "decord":  # it reads ahead in a thread, whose failure ends calls for earlier frames, now and then
            continue
        assert levels(video.decode(np.array([3, 11]))) == pytest.approx([grey_level(3), grey_level(11)], abs=2)


def test_decord_refuses_a_file_of_which_it_would_read_another_stream(shared_clips: Path) -> None:
    if installed_backends()["decord"] is not None:
        pytest.skip("decord is not there")
    with pytest.raises(VideoError, match=r"nasa_13013\.mp4: decord cannot be told to read the first of several"):
        open_backend("decord", shared_clips / "formats" / "nasa_13013.mp4")


# ---- what only the exact backend offers


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"errors": "keep-good"}, "errors='keep-good'"),
        ({"short_side": 16}, "short_side"),
        ({"size": (16, 16)}, "size"),
        ({"errors": "keep-good", "short_side": 16}, "errors='keep-good' and no short_side"),
    ],
)
def test_options_of_the_exact_backend_are_refused_by_others(
    make_video: Callable[..., Path], options: dict, missing: str
) -> None:
    path = make_video()
    message = rf"the video backend 'opencv' has no {missing}: use backend='pyav'"
    with pytest.raises(ValueError, match=message):
        VideoReader(path, backend="opencv", **options)
    with pytest.raises(ValueError, match=r"the video backend 'opencv' has no index: use backend='pyav'"):
        VideoReader(path, backend="opencv", index=VideoReader(path).index)


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        (lambda reader: reader.index, "index"),
        (lambda reader: reader.rotation_degrees, "rotation_degrees"),
        (lambda reader: reader.find_damage(), "find_damage"),
    ],
    ids=["index", "rotation", "damage"],
)
def test_questions_that_only_the_exact_backend_answers_name_it(
    make_video: Callable[..., Path], question: Callable[[VideoReader], object], missing: str
) -> None:
    reader = VideoReader(make_video(), backend="opencv")
    with pytest.raises(ValueError, match=rf"the video backend 'opencv' has no {missing}: use backend='pyav'"):
        question(reader)
