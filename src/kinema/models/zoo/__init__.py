"""The model zoo: a name -> a model's config, with a card that says what the model takes and what it reaches.

zoo.names("compact*")
model = zoo.create_model("compact3d", num_classes=8)
"""

from kinema.models.zoo import adaptive2d, cnn2d, cnn3d, compact, pathways, pyramids, separated
from kinema.models.zoo.cards import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Builder,
    Card,
    InputSpec,
    ModelConfig,
    Result,
    StatedCost,
    Weights,
    card,
    model,
    model_config,
    names,
    recognizer_3d,
)
from kinema.models.zoo.creation import create_model, published_weights, video_pipeline

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Builder",
    "Card",
    "InputSpec",
    "ModelConfig",
    "Result",
    "StatedCost",
    "Weights",
    "adaptive2d",
    "card",
    "cnn2d",
    "cnn3d",
    "compact",
    "create_model",
    "model",
    "model_config",
    "names",
    "pathways",
    "published_weights",
    "pyramids",
    "recognizer_3d",
    "separated",
    "video_pipeline",
]
