"""Labels or scores as an element of their own."""

from torch import Tensor

from kinema.structures.base import BaseDataElement, brief


class LabelData(BaseDataElement):
    """Labels or scores of one sample, by custom in the field `item`."""

    @staticmethod
    def onehot_to_label(onehot: Tensor) -> Tensor:
        """(N,) of 0 and 1 -> (K,) int64, the classes that are 1.

        Raises:
            ValueError: `onehot` is not one-dimensional or has values other than 0 and 1.
        """
        if onehot.ndim != 1 or not bool(((onehot == 0) | (onehot == 1)).all()):
            raise ValueError(
                f"expected one dimension of zeros and ones, got shape {tuple(onehot.shape)}: {brief(onehot)}"
            )
        return onehot.nonzero().squeeze(-1)

    @staticmethod
    def label_to_onehot(label: Tensor, num_classes: int) -> Tensor:
        """(K,) int64 classes -> (num_classes,) of the same type, 1 at these classes.

        Raises:
            ValueError: a label is outside [0, num_classes).
        """
        if label.numel() and not 0 <= int(label.min()) <= int(label.max()) < num_classes:
            raise ValueError(f"labels must be in [0, {num_classes}), got {label.tolist()}")
        onehot = label.new_zeros((num_classes,))
        onehot[label] = 1
        return onehot
