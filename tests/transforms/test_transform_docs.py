import inspect
from pathlib import Path

import kinema.transforms
from kinema.transforms import BaseTransform

DOCS = Path(__file__).parents[2] / "docs"


def test_the_docs_name_every_transform():
    text = (DOCS / "transforms.md").read_text(encoding="utf-8") + (DOCS / "augmentation.md").read_text(encoding="utf-8")
    parts = vars(kinema.transforms).items()
    names = [name for name, part in parts if inspect.isclass(part) and issubclass(part, BaseTransform)]
    assert len(names) > 25
    assert [name for name in names if f"`{name}" not in text and name != "BaseTransform"] == []
