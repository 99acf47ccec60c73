import matplotlib as mpl
import pytest
import torch

from kinema.evaluation import ConfusionMatrix


def test_a_confusion_matrix_is_drawn_with_its_numbers() -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure = ConfusionMatrix.plot(torch.tensor([[2, 1], [0, 5]]), True, classes=["sit", "run"], show=False)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["2", "1", "0", "5"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sit", "run"]
    assert len(figure.axes) == 2, "the second one is the colour bar"
    plt.close(figure)


def test_names_that_do_not_fit_the_matrix_are_refused() -> None:
    with pytest.raises(ValueError, match=r"with N names, got \(2, 2\) and 3"):
        ConfusionMatrix.plot(torch.zeros(2, 2), classes=["a", "b", "c"], show=False)
