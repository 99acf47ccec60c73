import csv
import json

import numpy as np
import pytest

from kinema.inference import FailedInput, Looked
from kinema.inference.prediction import make_prediction
from kinema.report.prediction_table import csv_text, predictions_table, write_predictions

SCORES = np.array([0.25, 0.75], np.float32)


def made(**options):
    looked = Looked(total_frames=50, spans=((0, 50),), fps=25.0)
    return make_prediction("=a.mp4", SCORES, ("run", "+sit"), top_k=2, looked=looked, **options)


def test_predictions_are_rows_whose_texts_are_no_formulas(tmp_path):
    predictions = [made(), FailedInput("b.mp4", "b.mp4: is empty")]
    write_predictions(tmp_path / "new" / "a.csv", predictions)
    with (tmp_path / "new" / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "path": "'=a.mp4",
        "label": "'+sit",
        "score": "0.75",
        "start_seconds": "0.0",
        "end_seconds": "2.0",
        "label 2": "run",
        "score 2": "0.25",
        "error": "",
    }
    assert (rows[1]["path"], rows[1]["label"], rows[1]["error"]) == ("b.mp4", "", "b.mp4: is empty")
    assert csv_text(predictions) == (tmp_path / "new" / "a.csv").read_bytes().decode()
    columns, rows = predictions_table([made(thresholds=0.1)])
    assert columns[:4] == ["path", "label", "score", "present"]
    assert rows[0]["present"] == "+sit;run"
    assert predictions_table([FailedInput("b.mp4", "x")])[0] == ["path", "label", "score", "error"]


def test_predictions_are_json_of_one_value_or_a_line_each(tmp_path):
    predictions = [made(), FailedInput("b.mp4", "x")]
    write_predictions(tmp_path / "a.json", predictions)
    write_predictions(tmp_path / "a.JSONL", predictions)
    values = [one.to_dict() for one in predictions]
    assert json.loads((tmp_path / "a.json").read_text()) == values
    assert [json.loads(line) for line in (tmp_path / "a.JSONL").read_text().splitlines()] == values
    with pytest.raises(ValueError, match=r"a\.txt: expected a file \.csv, \.json, \.jsonl, got the suffix '\.txt'"):
        write_predictions(tmp_path / "a.txt", predictions)
