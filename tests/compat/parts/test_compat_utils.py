import io
import multiprocessing
import os
import subprocess
import sys
from collections import namedtuple
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from torch import nn

from kinema.compat.parts import checks, deprecation, environment, paths, progress_bars, requirements, torch_tools


def test_a_bar_is_written_as_programs_around_it_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    bar = progress_bars.ProgressBar(4, bar_width=8, file=stream)
    monkeypatch.setattr(bar.timer, "since_start", lambda: 2.0)
    bar.update()
    bar.update(2)
    assert stream.getvalue() == (
        "[        ] 0/4, elapsed: 0s, ETA:"
        "\r[>>      ] 1/4, 0.5 task/s, elapsed: 2s, ETA:     6s"
        "\r[>>>>>>  ] 3/4, 1.5 task/s, elapsed: 2s, ETA:     1s"
    )
    unknown = progress_bars.ProgressBar(file=io.StringIO())
    monkeypatch.setattr(unknown.timer, "since_start", lambda: 2.0)
    unknown.update()
    assert unknown.file.getvalue() == "completed: 0, elapsed: 0scompleted: 1, elapsed: 2s, 0.5 tasks/s"
    with pytest.raises(ValueError, match="the number of finished tasks must be 1 or more, got 0"):
        bar.update(0)


def test_tasks_are_tracked(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bars.track_iter_progress((iter([1, 2]), 2), file=io.StringIO())) == [1, 2]
    assert progress_bars.track_progress(lambda x, y: x * y, [1, 2], y=3) == [3, 6]
    assert capsys.readouterr().out.endswith("ETA:     0s\n")
    assert progress_bars.track_progress_rich(lambda a, b: a + b, [(1, 2)]) == [3]
    assert list(progress_bars.track(iter("ab"), "letters", 2)) == ["a", "b"]
    assert list(progress_bars.track_on_main_process([1, 2])) == [1, 2]
    assert progress_bars.track_progress_rich(lambda: 5, task_num=2) == [5, 5]
    assert progress_bars.track_progress_rich(abs, iter([-1, -2, -3]), task_num=2) == [1, 2]
    for arguments, error, message in [
        ((3, [1]), TypeError, "func must be callable, got int"),
        ((abs, 3), TypeError, "tasks must be iterable, got int"),
        ((abs, [1], 5), ValueError, "task_num is 5, but there are 1 tasks"),
        ((abs, [1], 1, 0), ValueError, "nproc and chunksize must be 1 or more, got nproc=0"),
    ]:
        with pytest.raises(error, match=message):
            progress_bars.track_progress_rich(*arguments)


@pytest.mark.slow
def test_tasks_are_shared_by_processes() -> None:
    stream = io.StringIO()
    assert progress_bars.track_parallel_progress(abs, [-1, -2, -3], 2, skip_first=True, file=stream) == [1, 2, 3]
    assert " 1/1, " in stream.getvalue()
    assert progress_bars.track_progress_rich(abs, [-1, -2], nproc=2) == [1, 2]


def test_old_names_of_arguments_arrive_under_the_new(caplog: pytest.LogCaptureFixture) -> None:
    @deprecation.deprecated_api_warning({"old": "new"}, cls_name="Part")
    def part(new: int = 0) -> int:
        return new

    with pytest.warns(DeprecationWarning, match=r"Part\.part: old is deprecated, use new instead"):
        assert part(old=3) == 3
    with pytest.raises(ValueError, match=r"Part\.part got old and new, which is its new name"):
        part(old=3, new=4)

    @deprecation.deprecated_function("0.1", "0.5", "use another")
    def function() -> int:
        """Summary."""
        return 5

    assert function() == 5
    assert "is deprecated in version 0.1 and will be removed in version 0.5. Please use another." in caplog.text
    assert function.__doc__.startswith(".. deprecated:: 0.1\n")


def test_a_function_runs_only_where_what_it_needs_is(capsys: pytest.CaptureFixture[str]) -> None:
    needs = requirements.requires_package, requirements.requires_executable
    assert needs[0](["numpy", "torch"])(lambda: 1)() == needs[1](Path(sys.executable).name)(lambda: 1)() == 1
    for need in needs:
        with pytest.raises(RuntimeError, match='Prerequisites "nowhere_there" are required in method "<lambda>"'):
            need(["nowhere_there"])(lambda: 1)()
    assert capsys.readouterr().out.count("nowhere_there") == 2


def test_packages_are_known_by_name_or_module() -> None:
    assert [requirements.is_installed(name) for name in ("torch", "cv2", "mmaction2", "nowhere-there")] == [
        True,
        True,
        True,
        False,
    ]
    assert Path(requirements.get_installed_path("torch")).name == "torch"
    with pytest.raises(PackageNotFoundError):
        requirements.get_installed_path("nowhere-there")
    requirements.install_package("torch")  # it is there: nothing to do
    requirements.call_command([sys.executable, "-c", ""])
    with pytest.raises(subprocess.CalledProcessError):
        requirements.call_command([sys.executable, "-c", "raise SystemExit(1)"])


def test_values_are_converted_and_looked_into() -> None:
    Pair = namedtuple("Pair", ["a", "b"])
    data = {"x": [1, "y", (2, Pair(3, "z"))]}
    assert checks.apply_to(data, lambda value: isinstance(value, int), lambda value: value * 10) == {
        "x": [10, "y", (20, Pair(30, "z"))]
    }
    assert checks.iter_cast(["1"], int, tuple) == (1,)
    assert list(checks.iter_cast(["1"], int)) == [1]
    assert checks.to_2tuple(3) == (3, 3)
    assert checks.to_2tuple([1]) == [1]
    assert checks.get_object_from_string("os.path.join") is os.path.join
    assert checks.get_object_from_string("nowhere.there") is None
    assert (checks.has_method([], "append"), checks.has_method([], "shape")) == (True, False)
    assert checks.import_modules_from_strings([]) is None
    with pytest.warns(UserWarning, match="nowhere_there cannot be imported and is left out"):
        assert checks.import_modules_from_strings("nowhere_there", allow_failed_imports=True) is None
    for call, error, message in [
        (lambda: checks.iter_cast(3, int), TypeError, "inputs must be iterable, got int"),
        (lambda: checks.iter_cast([3], 4), TypeError, "dst_type must be a type, got 4"),
        (
            lambda: checks.get_object_from_string(""),
            ValueError,
            "expected a dotted name such as 'os.path.join', got ''",
        ),
        (lambda: checks.import_modules_from_strings(("os",)), TypeError, "imports must be a text or a list of texts"),
        (
            lambda: checks.is_method_overridden("a", 3, int),
            TypeError,
            "base_class must be a class, got an object of int",
        ),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_paths_are_opened_linked_and_asked(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with paths.fopen(tmp_path / "a.txt") as file:
        assert file.read() == "text"
    paths.symlink("a.txt", tmp_path / "link")
    paths.symlink("b.txt", tmp_path / "link")
    assert (tmp_path / "link").readlink() == Path("b.txt")
    with pytest.raises(FileExistsError):
        paths.symlink("a.txt", tmp_path / "link", overwrite=False)
    assert [paths.is_abs(path) for path in ("/a", "a", "https://host/a")] == [True, False, True]
    (tmp_path / ".git").mkdir()
    assert paths.find_vcs_root(tmp_path / "a.txt") == str(tmp_path.resolve())
    assert paths.find_vcs_root(tmp_path, markers=(".nowhere-there",)) is None
    for call, message in [
        (lambda: paths.fopen(3), "filepath must be a text or a Path, got int"),
        (lambda: list(paths.scandir(3)), "dir_path must be a text or a Path, got int"),
        (lambda: list(paths.scandir(tmp_path, suffix=3)), "suffix must be a text or a tuple of texts, got int"),
    ]:
        with pytest.raises(TypeError, match=message):
            call()


def test_tensors_become_images() -> None:
    image = torch_tools.tensor2imgs(torch.ones(1, 3, 2, 2), mean=(1, 2, 3), std=(2, 2, 2))[0]
    assert image[0, 0].tolist() == [5, 4, 3]
    assert torch_tools.tensor2imgs(torch.ones(2, 1, 4, 5), to_bgr=False)[1].shape == (4, 5, 1)
    for tensor, error, message in [
        ([1], TypeError, "tensor must be a torch.Tensor, got list"),
        (torch.ones(3, 2, 2), ValueError, r"tensor must have the shape \(N, 1 or 3, H, W\), got \(3, 2, 2\)"),
        (torch.ones(1, 1, 2, 2), ValueError, "to_bgr needs 3"),
    ]:
        with pytest.raises(error, match=message):
            torch_tools.tensor2imgs(tensor)


def test_models_and_processes_are_asked_and_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch_tools.has_batch_norm(nn.Sequential(nn.BatchNorm2d(1)))
    assert not torch_tools.has_batch_norm(nn.Linear(1, 1))
    assert not torch_tools.is_jit_tracing()
    assert not torch_tools.mmcv_full_available()
    assert torch_tools.torch_meshgrid(torch.arange(2), torch.arange(3))[0].shape == (2, 3)
    import cv2

    before, threads = multiprocessing.get_start_method(allow_none=True), cv2.getNumThreads()
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch_tools.set_multi_processing("spawn", 2, distributed=True)
    assert (multiprocessing.get_start_method(), cv2.getNumThreads()) == ("spawn", 2)
    assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("1", "3")
    torch_tools.setup_multi_processes({"mp_start_method": "forkserver", "opencv_num_threads": 3})
    assert (multiprocessing.get_start_method(), cv2.getNumThreads()) == ("forkserver", 3)
    multiprocessing.set_start_method(before, force=True)
    cv2.setNumThreads(threads)
    del os.environ["OMP_NUM_THREADS"]


def test_a_counter_logs_the_mean_of_its_runs(capsys: pytest.CaptureFixture[str]) -> None:
    @torch_tools.TimeCounter(log_interval=2, tag="step of the test")
    def step() -> None: ...

    for _ in range(4):
        step()
    with torch_tools.TimeCounter(tag="step of the test") as counter:
        pass
    assert [line.partition(": ")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"[step of the test]-time per run averaged in the past {runs} runs" for runs in (2, 4)
    ]
    assert torch_tools.TimeCounter.instance_dict.pop("step of the test") is counter
    with pytest.raises(ValueError, match="log_interval must be 1 or more, got 0"):
        torch_tools.TimeCounter(log_interval=0)


def test_the_environment_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = environment.collect_env()
    assert facts["PyTorch"] == torch.__version__
    assert str(facts["MMEngine"]).startswith("provided by Kinema")
    assert environment.collect_mmcv_env() == {
        **facts,
        "MMCV": "2.1.0",
        **dict.fromkeys(("MMCV Compiler", "MMCV CUDA Compiler"), "n/a"),
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.get_git_hash(fallback="none") == "none"
    with pytest.raises(TypeError, match="digits must be None or a whole number, got str"):
        environment.get_git_hash(digits="7")  # type: ignore[arg-type]
