"""The model zoo: a name -> a model's config, with a card that says what the model takes and what it reaches.

zoo.names("compact*")
model = zoo.create_model("compact3d", num_classes=8)

Each family of models is a file of this folder, which puts its models into the zoo when it is
imported.
"""

import importlib
import pkgutil

from kinema.models.zoo.cards import Card, InputSpec, card, model, model_config, names, names_instead
from kinema.models.zoo.creation import create_model, video_pipeline

__all__ = [
    "Card",
    "InputSpec",
    "card",
    "create_model",
    "model",
    "model_config",
    "names",
    "names_instead",
    "video_pipeline",
]

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")
