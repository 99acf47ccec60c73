"""`kinema train` and `kinema test` on clips some of which are no videos, as a user runs them."""

import json
import subprocess
import sys

import pytest

from command_line import kinema
from kinema.datasets.synthetic import make_motion_dataset


def run(*command, **options):
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, check=False, timeout=900, **options
    )


def paths_of(listed):
    return [listed.parent / line.rpartition(" ")[0] for line in listed.read_text().splitlines()]


def spoil(paths):
    """Make of each path another kind of broken file."""
    text, cut, empty, absent = paths
    text.write_text("no video")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    empty.write_bytes(b"")
    absent.unlink()


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """40 training clips of which two are broken, 24 validation clips of which two are, too."""
    root = tmp_path_factory.mktemp("clips")
    made = make_motion_dataset(root, num_train=40, num_val=24, num_frames=12, size=(32, 32))
    train, val = paths_of(made.train_list), paths_of(made.val_list)
    spoil([train[5], train[20], val[3], val[9]])
    return made


def names(folder):
    return {line["path"]: line["count"] for line in map(json.loads, (folder / "broken.jsonl").read_text().splitlines())}


def train(clips, work, *options):
    settings = ["--set", "val_dataloader.max_broken_share=0.1", "--batch-size", 8]
    return kinema("train", clips.root, "--epochs", 2, "--work-dir", work, *settings, *options)


@pytest.mark.slow
def test_a_run_goes_on_and_tells_what_was_broken(clips, tmp_path):
    runs = {workers: train(clips, tmp_path / str(workers), "--workers", workers) for workers in (0, 2)}
    for result in runs.values():
        assert result.returncode == 0, result.stderr
        assert "broken videos" in result.stdout
        assert "val: 2 of 24 samples are broken and not in the numbers" in result.stderr
    training, validation = paths_of(clips.train_list), paths_of(clips.val_list)
    expected = {str(path): 2 for path in (training[5], training[20], validation[3], validation[9])}
    assert names(tmp_path / "0") == names(tmp_path / "2") == expected
    folders = [tmp_path / name / "checkpoints" for name in "02"]
    weights = [
        (folder / (folder / "last").read_text().strip() / "model.safetensors").read_bytes() for folder in folders
    ]
    assert weights[0] == weights[1]

    work = tmp_path / "0"
    for workers in (0, 2):
        strict = kinema("test", work, clips.root, "--workers", workers)
        assert (strict.returncode, strict.stdout) == (1, "")
        assert strict.stderr.splitlines()[-1].startswith(f"error: {validation[3]}: ")
        assert "--allow-broken measures without such clips and reports them" in strict.stderr
        allowed = kinema("test", work, clips.root, "--workers", workers, "--allow-broken", "--json")
        figures = json.loads(allowed.stdout)
        assert figures["clips"] == 22
        assert [one["path"] for one in figures["failed"]] == [str(validation[3]), str(validation[9])]
        assert "is empty" in figures["failed"][0]["error"]
    shown = kinema("test", work, clips.root, "--allow-broken").stdout
    assert f"22 of 24 clips of {clips.val_list}; 2 broken, not in the numbers" in shown
    assert f"{validation[9]}: " in shown

    best = json.loads((work / "summary.json").read_text())["best"]
    assert figures["acc/top1"] == pytest.approx(best["value"])


@pytest.mark.slow
def test_a_run_on_two_processes_counts_once(clips, tmp_path):
    launch = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        2,
        "-m",
        "kinema.cli",
        "train",
        clips.root,
    ]
    options = ["--epochs", 2, "--batch-size", 4, "--workers", 1, "--set", "val_dataloader.max_broken_share=0.1"]
    result = run(*launch, "--work-dir", tmp_path, *options)
    assert result.returncode == 0, result.stderr
    assert sorted(names(tmp_path).values()) == [2, 2, 2, 2]


@pytest.mark.slow
def test_too_many_broken_clips_are_one_line(clips, tmp_path):
    share = "train_dataloader.max_broken_share"
    result = train(clips, tmp_path, "--workers", 2, "--set", f"{share}=0.04")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    message = f"2 of 40 training samples are broken, more than the share of 0.04 that {share} allows"
    assert result.stderr.splitlines()[-1].startswith(f"error: {message}: {tmp_path / 'broken.jsonl'} lists them")
    wrong = train(clips, tmp_path, "--set", f"{share}=4")
    assert (
        wrong.stderr.splitlines()[-1] == "error: train_dataloader: max_broken_share must be a share from 0 to 1, got 4"
    )


@pytest.mark.slow
def test_nothing_is_measured_where_no_clip_can_be_read(clips, tmp_path, make_video):
    work = tmp_path / "work"
    assert train(clips, work, "--epochs", 1).returncode == 0
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "list.txt").write_text("a.mp4 0\nb.mp4 1\n")
    result = kinema("test", work, tmp_path / "list.txt", "--allow-broken")
    assert result.stderr.splitlines()[-1].startswith(
        f"error: {tmp_path / 'list.txt'}: none of the 2 clips can be read; the"
    )


@pytest.mark.slow
def test_refusing_to_go_on_leaves_the_lists_of_clips_alone(tmp_path, make_video):
    for name in ("one/a/1", "one/a/2", "one/b/1", "one/b/2", "other/a/1", "other/a/2", "other/c/1"):
        make_video(tmp_path / f"{name}.mp4", num_frames=4)
    options = ["--epochs", 1, "--workers", 0, "--work-dir", tmp_path / "work"]
    assert kinema("train", tmp_path / "one", *options).returncode == 0
    lists = [tmp_path / "work" / name for name in ("train_clips.csv", "val_clips.csv")]
    before = [path.read_text() for path in lists]
    refused = kinema("train", tmp_path / "other", *options, "--resume")
    assert refused.stderr.splitlines()[-1].startswith(
        f"error: {tmp_path / 'work'}: the run began with the classes ['a', 'b']"
    )
    assert [path.read_text() for path in lists] == before
