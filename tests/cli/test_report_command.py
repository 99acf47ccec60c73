"""`kinema report`: a model on one page."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kinema.cli.main import app
from kinema.errors import AnnotationError, KinemaError


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments), "--workers", "0"], env={"COLUMNS": "200"})


def test_a_work_folder_is_reported_on_the_clips_that_it_validated_on(small_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "page.html"
    result = run(small_run, "--out", out, "--clips", 2, "--json")
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    assert (value["report"], value["bytes"]) == (str(out), out.stat().st_size)
    assert (value["clips"], value["sources"], value["failed"], value["chance"]) == (16, 16, 0, 1 / 8)
    low, high = value["intervals"]["acc/top1"]
    assert low <= value["acc/top1"] <= high
    page = out.read_text()
    for title in ("Summary", "Training", "Classes", "Confusions", "Clips", "Attention", "Motion", "Data", "Settings"):
        assert f'-title">{title}</h2>' in page
    assert "kinema train data --set train_cfg.max_epochs=2" in page
    assert "<code>train_cfg.max_epochs</code></th><td><code>2</code></td><td>command line</td>" in page
    assert page.count("data:image/webp;base64,") == 2 * page.count('<span class="clip">') > 0


def test_a_report_without_out_lies_in_the_work_folder_and_is_named(small_run: Path) -> None:
    result = run(small_run, small_run.parent / "data" / "val.txt", "--clips", 0, "--quick")
    assert result.exit_code == 0
    page = small_run / "report.html"
    assert 'id="motion"' not in page.read_text()
    assert result.stdout.startswith(f"{page}: 16 clips (")
    page.unlink()


def test_a_clip_that_cannot_be_read_is_named_and_in_no_number(small_run: Path, tmp_path: Path) -> None:
    clips = small_run.parent / "data"
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    rows = (clips / "val.txt").read_text().splitlines()[:4]
    lines = [f"{clips}/{row}" for row in rows] + [f"{tmp_path / 'broken.mp4'} 0"]
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n")
    result = run(small_run, tmp_path / "list.txt", "--out", tmp_path / "a.html", "--json", "--quick")
    value = json.loads(result.stdout)
    assert (value["clips"], value["failed"]) == (4, 1)
    page = (tmp_path / "a.html").read_text()
    assert "1 clip cannot be read and is in no number" in page
    assert "broken.mp4" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{data}/val.txt", "{run}"], "is a list of clips, and .* is a checkpoint: the order is kinema report"),
        (["{run}/checkpoints/step_00000004", "{data}/none.txt"], "none.txt"),
        (["{data}/none", "--compare", "{data}/other"], "other: there is no such file or folder"),
    ],
)
def test_wrong_arguments_are_named(small_run: Path, arguments: list[str], message: str) -> None:
    given = [argument.format(data=small_run.parent / "data", run=small_run) for argument in arguments]
    result = run(*given)
    assert isinstance(result.exception, KinemaError)
    with pytest.raises(KinemaError, match=message):
        raise result.exception


def test_a_checkpoint_without_a_run_needs_clips(small_run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for file in (small_run / "checkpoints" / "step_00000004").iterdir():
        (alone / file.name).write_bytes(file.read_bytes())
    result = run(alone)
    assert isinstance(result.exception, AnnotationError)
    assert "names no validation clips that can be found again: name labelled clips (DATA)" in str(result.exception)


def test_further_models_are_set_beside_the_first(small_run: Path, tmp_path: Path) -> None:
    checkpoint = small_run / "checkpoints" / "step_00000004"
    out = tmp_path / "a.html"
    result = run(small_run, "--compare", small_run, checkpoint, "--out", out, "--clips", 1, "--json", "--quick")
    value = json.loads(result.stdout)
    assert [model["acc/top1"] for model in value["compared"]] == [value["acc/top1"]] * 2
    page = out.read_text()
    assert "3 models on the same 16 clips" in page
    assert all(f'<th scope="row">{name}</th>' in page for name in ("run", "run (2)", "run (3)"))
    refused = run(small_run, "--out", tmp_path / "a.pdf")
    assert refused.exit_code == 2
    assert "expected an .html file" in refused.stderr
    refused = run(small_run, "--compare")
    assert refused.exit_code == 2
    assert "expected one model or more behind it" in refused.stderr
