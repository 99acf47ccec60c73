"""A confusion matrix as a page shows it."""

import base64

import cv2
import numpy as np

from kinema.report.confusion import MOST_PAIRS, confusion_view, neighbours_first


def test_classes_that_are_confused_stand_beside_each_other() -> None:
    matrix = np.eye(6, dtype=int) * 9
    matrix[0, 4] = matrix[4, 0] = 5
    matrix[1, 3] = 3
    order = neighbours_first(matrix)
    assert sorted(order) == list(range(6))
    assert order[:2] == [0, 4]
    assert abs(order.index(1) - order.index(3)) == 1
    assert neighbours_first(np.eye(4, dtype=int)) == [0, 1, 2, 3]


def test_few_classes_are_a_table_with_counts_and_shares() -> None:
    view = confusion_view(np.array([[3, 1], [0, 4]]), ["run", "sit"])
    assert view.names == ("run", "sit")
    assert [[cell.clips for cell in row] for row in view.rows] == [[3, 1], [0, 4]]
    assert (view.rows[0][1].share, view.rows[0][1].right, view.rows[0][0].right) == (0.25, False, True)
    assert view.pairs == (("run", "sit", 1, 0.25),)
    assert (view.picture, view.num_pairs) == ("", 1)


def test_many_classes_are_a_picture_whose_cells_can_be_looked_up() -> None:
    generator = np.random.default_rng(0)
    matrix = np.zeros((400, 400), int)
    np.add.at(matrix, (generator.integers(0, 400, 3000), generator.integers(0, 400, 3000)), 1)
    view = confusion_view(matrix, [f"class {index}" for index in range(400)])
    assert view.rows == ()
    assert (len(view.pairs), view.num_pairs) == (MOST_PAIRS, int((matrix - np.diag(np.diag(matrix)) > 0).sum()))
    cells = np.array(view.cells).reshape(-1, 3)
    order = [int(name.removeprefix("class ")) for name in view.names]
    for row, column, count in cells[::500]:
        assert matrix[order[row], order[column]] == count
    assert cells[:, 2].sum() == 3000
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(view.picture), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (400, 400, 4)
    assert ((picture[..., 3] > 0) == (matrix[np.ix_(order, order)] > 0)).all()
