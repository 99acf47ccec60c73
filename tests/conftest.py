"""Videos whose frames are known, for every test."""

import gc
import json
import logging
import os
import random
import signal
from collections.abc import Callable, Generator
from pathlib import Path

# Before torch starts its threads: where other work shares the cores, threads that wait by spinning
# slow a test tenfold.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core: threads of theirs would only wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that starts the tests in the background lets them ignore Ctrl-C, and so what they start: some tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import av
import numpy as np
import pytest
import torch

from kinema.video import write_video

# No test cuts the power, so none waits until its files are on the disk: that took a quarter of the time.
# `fstat` still refuses what is no open file. What is synced when, `test_files.py` checks.
os.fsync = os.fstat  # type: ignore[assignment]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays, so it is searched for garbage neither while it grows nor later.

    Loggers of torch pass their records on, so that pytest need not attach its handlers to each of
    its fifty loggers in every test.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        for name, logger in logging.root.manager.loggerDict.items():
            if name.startswith("torch") and isinstance(logger, logging.Logger):
                logger.propagate = True


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked `gpu` need one; and each draws the same random numbers, whichever tests ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    if item.get_closest_marker("gpu") is not None and not torch.cuda.is_available():
        pytest.skip("no GPU")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """The test runs on the CPU, and on a GPU where there is one."""
    name: str = request.param
    return name


@pytest.fixture
def on_meta_device() -> Generator[None]:
    """Networks of the test have shapes, but no values, which take most of the time to draw."""
    with torch.device("meta"):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what is no text in captured output, such as file names that are not UTF-8: processes send it as UTF-8."""
    report = yield
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report


def _grey_level(index: int) -> int:
    return 10 + 5 * (index % 45)


@pytest.fixture(scope="session")
def grey_level() -> Callable[[int], int]:
    """Grey level of frame i of every video that `make_video` makes; reading it back gives it within 2."""
    return _grey_level


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Factory of videos of flat grey frames; `size` is (width, height), `options` go to `write_video`."""

    def make(
        path: Path | str | None = None,
        num_frames: int = 20,
        size: tuple[int, int] = (64, 48),
        fps: float = 10,
        **options: object,
    ) -> Path:
        width, height = size
        frames = (np.full((height, width, 3), _grey_level(index), np.uint8) for index in range(num_frames))
        return write_video(path or tmp_path / "video.mp4", frames, fps, **options)

    return make


@pytest.fixture
def damaged_video(make_video: Callable[..., Path], tmp_path: Path) -> Path:
    """A video of 20 frames with all packets, of which the one of frame 12 holds no picture any more."""
    options = {"x264-params": "bframes=0:keyint=5:scenecut=0"}
    path = make_video(tmp_path / "damaged.mp4", options=options)
    with av.open(str(path)) as container:
        packet = [one for one in container.demux(video=0) if one.size][12]
        assert packet.pos is not None
        start, size = packet.pos, packet.size
    content = bytearray(path.read_bytes())
    content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    return path


@pytest.fixture(scope="session")
def shared_clips() -> Path:
    """The folder of real clips beside the checkout; skips the test where there is none."""
    folder = Path(__file__).parents[1].parent / "shared" / "clips"
    if not folder.is_dir():
        pytest.skip("no folder of shared clips")
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a run on 16 made clips, whose network was not trained; 16 more are to validate on."""
    from kinema.checkpoints.contract import ModelContract
    from kinema.datasets.synthetic import make_motion_dataset
    from kinema.inference import VideoRecognizer
    from kinema.recipes import classification
    from kinema.registry import MODELS
    from kinema.runs.description import describe_run
    from kinema.runs.settings_file import write_settings

    folder = tmp_path_factory.mktemp("small_run")
    clips = make_motion_dataset(folder / "data", num_train=16, num_val=16, num_frames=8, size=(32, 32))
    work_dir = folder / "run"
    torch.manual_seed(0)
    config = classification(clips.root, work_dir=work_dir, seed=0, epochs=2)
    contract = ModelContract(model=config["model"], classes=tuple(clips.class_names))
    recognizer = VideoRecognizer(
        MODELS.build(config["model"]),
        clips.class_names,
        config["val_dataloader"]["dataset"]["pipeline"],
        contract=contract,
    )
    recognizer.save_pretrained(work_dir / "checkpoints" / "step_00000004")
    (work_dir / "checkpoints" / "best").write_text("step_00000004\n")
    description = describe_run(config, seed=0, classes=clips.class_names)
    write_settings(
        work_dir, config, {**description, "command": ["kinema", "train", "data", "--set", "train_cfg.max_epochs=2"]}
    )
    lines = [
        {
            "step": 2 * epoch,
            "epoch": epoch,
            "split": split,
            "loss": 2.1 - 0.1 * epoch,
            name: 0.1 * epoch,
            "lr": 0.01,
            "seconds": 1,
        }
        for epoch in (1, 2)
        for split, name in (("train", "top1_acc"), ("val", "acc/top1"))
    ]
    (work_dir / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return work_dir
