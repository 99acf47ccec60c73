"""`BaseInferencer`: a model behind one call, from inputs to predictions, of which users override the steps."""

import itertools
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from kinema.compat.parts.model_names import list_names, named_model
from kinema.config import Config
from kinema.config.text import parse_config_text
from kinema.datasets import pseudo_collate
from kinema.distributed import choose_device
from kinema.errors import ConfigError
from kinema.inference.untrusted import checked_model, checked_pipeline
from kinema.models import BaseModule, load_checkpoint, read_checkpoint
from kinema.openmmlab.configs import pipeline_of_tests, without_pretrained
from kinema.progress import track_iter_progress
from kinema.registry import FUNCTIONS, MODELS, VISUALIZERS, default_scope

ModelType = Mapping[str, Any] | str | PathLike[str]
InputType = str | np.ndarray | Tensor
InputsType = InputType | Sequence[InputType]

_KEYWORD_SETS = ("preprocess_kwargs", "forward_kwargs", "visualize_kwargs", "postprocess_kwargs")


class InferencerMeta(ABCMeta):
    """Checks when an inferencer is defined that its sets of keywords are sets, of which no two share a name."""

    def __init__(cls, *args: Any) -> None:
        super().__init__(*args)
        sets = [getattr(cls, name) for name in _KEYWORD_SETS]
        for name, keywords in zip(_KEYWORD_SETS, sets, strict=True):
            if not isinstance(keywords, set):
                raise TypeError(f"{cls.__name__}.{name} must be a set of names, got {keywords!r}")
        for first, second in itertools.combinations(_KEYWORD_SETS, 2):
            if both := getattr(cls, first) & getattr(cls, second):
                raise ValueError(f"{cls.__name__}: {first} and {second} must share no keyword, both have {min(both)!r}")


class BaseInferencer(metaclass=InferencerMeta):
    """Inference as four steps: `preprocess`, `forward`, `visualize`, `postprocess`.

    A subclass gives the pipeline and the last two, and lists the keywords of each step in a set; a
    call passes each keyword to its step.

    Args:
        model: a config, or the path of one, or the name of a model; None: the config that the
            weights bring.
        weights: a checkpoint; None: the published one of a named model, else the weights stay as
            they are initialised.
        device: where to compute; None: CUDA where there is any.
        scope: accepted by position; parts are found whatever it is.
        show_progress: show a bar during a call.

    Raises:
        ConfigError: there is no such config or model, or the weights bring none.
        TypeError: `model` is neither.
        ValueError: neither `model` nor `weights` is given.
        CheckpointError: the weights cannot be read or do not fit.
    """

    preprocess_kwargs: ClassVar[set[str]] = set()
    forward_kwargs: ClassVar[set[str]] = set()
    visualize_kwargs: ClassVar[set[str]] = set()
    postprocess_kwargs: ClassVar[set[str]] = set()

    def __init__(
        self,
        model: ModelType | None = None,
        weights: str | PathLike[str] | None = None,
        device: str | None = None,
        scope: str | None = None,
        show_progress: bool = True,
    ) -> None:
        self.scope = scope if scope is not None else default_scope()
        cfg, weights = _config_and_weights(model, weights)
        self.cfg = cfg
        self.show_progress = show_progress
        self.model = self._init_model(cfg, weights, str(choose_device(device or "auto")))
        self.pipeline = self._init_pipeline(cfg)
        self.collate_fn = self._init_collate(cfg)
        self.visualizer = self._init_visualizer(cfg)

    def __call__(
        self, inputs: InputsType, return_datasamples: bool = False, batch_size: int = 1, **kwargs: Any
    ) -> dict[str, Any]:
        """Run all steps.

        Args:
            inputs: one, or a list; a folder of files stands for the files.
            return_datasamples: passed to `postprocess`.
            batch_size: inputs that go through the model together.
            kwargs: of the steps.

        Raises:
            ValueError: a keyword belongs to no step.
        """
        of_preprocess, of_forward, of_visualize, of_postprocess = self._dispatch_kwargs(**kwargs)
        listed = self._inputs_to_list(inputs)
        predictions: list[Any] = []
        batches = self.preprocess(listed, batch_size=batch_size, **of_preprocess)
        for batch in self._shown(batches, -(-len(listed) // batch_size)):
            predictions.extend(self.forward(batch, **of_forward))
        visualization = self.visualize(listed, predictions, **of_visualize)
        return self.postprocess(predictions, visualization, return_datasamples, **of_postprocess)

    def _shown(self, batches: Iterable[Any], count: int) -> Iterable[Any]:
        return track_iter_progress((batches, count)) if self.show_progress else batches

    def _inputs_to_list(self, inputs: InputsType) -> list[Any]:
        """One input, several, or a folder of files -> a list."""
        if isinstance(inputs, str) and Path(inputs).is_dir():
            inputs = sorted(str(file) for file in Path(inputs).iterdir())
        return list(inputs) if isinstance(inputs, list | tuple) else [inputs]

    def preprocess(self, inputs: InputsType, batch_size: int = 1, **kwargs: Any) -> Iterator[Any]:
        """Batches as the model takes them: what the pipeline makes of the inputs, collated."""
        for chunk in self._get_chunk_data(map(self.pipeline, inputs), batch_size):
            yield self.collate_fn(chunk)

    @torch.no_grad()
    def forward(self, inputs: Any, **kwargs: Any) -> Any:
        """Predictions of a batch, a list."""
        model: Any = self.model
        return model.test_step(inputs)

    @abstractmethod
    def visualize(self, inputs: list[Any], preds: Any, show: bool = False, **kwargs: Any) -> Any:
        """Draw predictions onto their inputs."""

    @abstractmethod
    def postprocess(
        self, preds: Any, visualization: Any, return_datasample: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """Predictions and drawings as the call returns them."""

    @abstractmethod
    def _init_pipeline(self, cfg: Any) -> Callable[..., Any]:
        """What makes a sample for the model of an input."""

    def _init_collate(self, cfg: Mapping[str, Any]) -> Callable[..., Any]:
        """The function of the config's `test_dataloader` that joins samples to a batch."""
        chosen = (cfg.get("test_dataloader") or {}).get("collate_fn") or pseudo_collate
        if isinstance(chosen, Mapping):
            options = dict(chosen)
            kind = options.pop("type")
            function: Any = FUNCTIONS.get(kind) if isinstance(kind, str) else kind
            return lambda samples: function(samples, **options)
        return FUNCTIONS.get(chosen) if isinstance(chosen, str) else chosen  # type: ignore[return-value]

    def _init_visualizer(self, cfg: Mapping[str, Any]) -> Any:
        """The visualizer of the config, None without one."""
        if not (options := cfg.get("visualizer")):
            return None
        named = {"name": f"{type(self).__name__}_{next(_numbers)}", **options}
        return VISUALIZERS.build(named)

    def _init_model(self, cfg: Any, weights: str | PathLike[str] | None, device: str = "cpu") -> nn.Module:
        """The model in evaluation mode, with its weights, and `cfg` and `dataset_meta` as attributes."""
        model: Any = MODELS.build(without_pretrained(cfg["model"]))
        model.cfg = cfg
        self._load_weights_to_model(model, None if weights is None else read_checkpoint(weights), cfg)
        model.to(device)
        model.eval()
        return model

    def _load_weights_to_model(self, model: Any, checkpoint: Any, cfg: Any) -> None:
        """Set the weights; None leaves them as they are initialised."""
        if checkpoint is None:
            if isinstance(model, BaseModule):
                model.init_weights()
            return
        load_checkpoint(model, checkpoint)
        meta = checkpoint.content.get("meta")
        if isinstance(meta, Mapping) and isinstance(facts := meta.get("dataset_meta"), Mapping):
            model.dataset_meta = dict(facts)

    def _get_chunk_data(self, inputs: Iterable[Any], chunk_size: int) -> Iterator[list[Any]]:
        """Lists of `chunk_size` inputs; the last one may be shorter."""
        remaining = iter(inputs)
        while chunk := list(itertools.islice(remaining, chunk_size)):
            yield chunk

    def _dispatch_kwargs(self, **kwargs: Any) -> tuple[dict[str, Any], ...]:
        """Keywords of a call -> those of each of the four steps."""
        known = [getattr(self, name) for name in _KEYWORD_SETS]
        if unknown := sorted(set(kwargs).difference(*known)):
            raise ValueError(
                f"{type(self).__name__} has no keyword {unknown[0]!r}: its steps take"
                f" {', '.join(sorted(set().union(*known))) or 'none'}"
            )
        return tuple({name: value for name, value in kwargs.items() if name in names} for names in known)

    @staticmethod
    def list_models(scope: str | None = None, patterns: str = ".*") -> list[str]:
        """Names of models that `model` may be.

        Args:
            scope: accepted by position; there is one list.
            patterns: a regular expression that names match from their beginning.
        """
        return list_names(patterns)


_numbers = itertools.count()


def _config_and_weights(
    model: ModelType | None, weights: str | PathLike[str] | None
) -> tuple[Config, str | PathLike[str] | None]:
    if model is None:
        if weights is None:
            raise ValueError("give model, a config, or weights that bring theirs")
        return _config_in(weights), weights
    if isinstance(model, Mapping):
        return model if isinstance(model, Config) else Config(dict(model)), weights
    if not isinstance(model, str | PathLike):
        raise TypeError(f"model must be a config, its path, or the name of a model, got {type(model).__name__}")
    if Path(model).is_file():
        return Config.fromfile(model), weights
    cfg, published = named_model(str(model))
    return cfg, weights if weights is not None else published


def _config_in(weights: str | PathLike[str]) -> Config:
    """Model and test pipeline of the config in a checkpoint, which is data of whoever wrote it: nothing in it runs."""
    meta = read_checkpoint(weights).content.get("meta")
    text = meta.get("cfg") if isinstance(meta, Mapping) else None
    if not isinstance(text, str):
        raise ConfigError(f"{weights} brings no config: give model=CONFIG")
    where = f"{weights}: the config in it"
    config = parse_config_text(text, where)
    parts: dict[str, Any] = {"model": checked_model(config.get("model") or {}, where)}
    if pipeline := pipeline_of_tests(config):
        parts["test_pipeline"] = checked_pipeline(pipeline, where)
    return Config(parts)
