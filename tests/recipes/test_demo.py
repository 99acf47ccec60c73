import json

import pytest

from kinema.recipes import demo as demo_module
from kinema.recipes.demo import demo


@pytest.mark.slow
def test_the_demo_does_the_whole_job_on_a_small_set(tmp_path, monkeypatch):
    def small(root, *, seed):
        return make(root, seed=seed, num_train=32, num_val=16, num_frames=8, size=(32, 32))

    make = demo_module.make_motion_dataset
    monkeypatch.setattr(demo_module, "make_motion_dataset", small)
    result = demo(tmp_path, seed=3)
    best = json.loads((tmp_path / "summary.json").read_text())["best"]
    assert result.top1 == pytest.approx(best["value"])
    assert result.chance == 1 / 8
    assert len(result.predictions) == 8
    page = result.report.read_text()
    assert f"{result.top1:.1%}" in page
    assert f"{result.top1_static:.1%}" in page
    assert page.count('<span class="clip">') >= 16
    assert page.count("<svg") == 8
