"""`MMAction2Inferencer` and `ActionRecogInferencer`: videos, arrays or folders of frames to labels and scores."""

import json
import pickle
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kinema.compat.parts.base_inferencer import BaseInferencer, ModelType
from kinema.compat.parts.inferencer_inputs import InferencerPackInput, pipeline_for
from kinema.errors import ConfigError
from kinema.openmmlab.configs import pipeline_of_tests
from kinema.registry import INFERENCERS
from kinema.structures import ActionDataSample
from kinema.transforms import Compose

VideoInput = str | np.ndarray
VideoInputs = VideoInput | Sequence[VideoInput]


@INFERENCERS.register_module(name=["action-recognition", "ActionRecogInferencer"])
class ActionRecogInferencer(BaseInferencer):
    """Labels and scores of clips, also drawn into them.

    Args:
        model: a config, its path, or the name of a model; see `BaseInferencer`.
        weights: a checkpoint; None: the published one of a named model.
        device: where to compute; None: CUDA where there is any.
        label_file: names of the classes, one a line, for drawings.
        input_format: what inputs are, see `InferencerPackInput`.
        pack_cfg: its other arguments.
        scope: accepted by position; parts are found whatever it is.
    """

    visualize_kwargs: ClassVar[set[str]] = {
        *("return_vis", "show", "wait_time", "vid_out_dir", "draw_pred", "fps", "out_type", "target_resolution"),
    }
    postprocess_kwargs: ClassVar[set[str]] = {"print_result", "pred_out_file", "return_datasample"}

    def __init__(
        self,
        model: ModelType,
        weights: str | PathLike[str] | None = None,
        device: str | None = None,
        label_file: str | PathLike[str] | None = None,
        input_format: str = "video",
        pack_cfg: Mapping[str, Any] | None = None,
        scope: str | None = "mmaction",
    ) -> None:
        self.num_visualized_vids = 0
        self.input_format = input_format
        self.pack_cfg = dict(pack_cfg or {})
        super().__init__(model, weights, device, scope)
        if label_file is not None:
            self.visualizer.dataset_meta = {"classes": Path(label_file).read_text(encoding="utf-8").splitlines()}

    def __call__(  # type: ignore[override]
        self,
        inputs: VideoInputs,
        return_datasamples: bool = False,
        batch_size: int = 1,
        return_vis: bool = False,
        show: bool = False,
        wait_time: int = 0,
        draw_pred: bool = True,
        vid_out_dir: str | PathLike[str] = "",
        out_type: str = "video",
        print_result: bool = False,
        pred_out_file: str | PathLike[str] = "",
        target_resolution: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Predict.

        Args:
            inputs: a clip or a list of clips, as `input_format` says.
            return_datasamples: give samples instead of dicts.
            batch_size: clips that go through the model together.
            return_vis: give the frames with the drawings, too.
            show: accepted where it is False; there is no window to show in.
            wait_time: of the window.
            draw_pred: draw what is predicted.
            vid_out_dir: folder for clips with drawings; "": none are written.
            out_type: what is written: "video", "gif", or "img", a folder of frames.
            print_result: print the predictions.
            pred_out_file: file for the predictions, JSON or pickle by its suffix; "": none.
            target_resolution: (width, height) of drawings, either may be -1; None: as the clips are.
            kwargs: `fps` of what is written.

        Returns:
            `predictions`: a dict with `pred_labels` and `pred_scores` for each clip;
            `visualization`: frames (T, H, W, 3) for each clip, or None.

        Raises:
            ValueError: an argument is unknown or does not fit.
            VideoError: a clip cannot be read.
        """
        return super().__call__(
            inputs,
            return_datasamples,
            batch_size,
            return_vis=return_vis,
            show=show,
            wait_time=wait_time,
            draw_pred=draw_pred,
            vid_out_dir=vid_out_dir,
            out_type=out_type,
            print_result=print_result,
            pred_out_file=pred_out_file,
            target_resolution=target_resolution,
            **kwargs,
        )

    def _inputs_to_list(self, inputs: Any) -> list[Any]:
        """A clip or several -> a list; a folder is a clip of frames."""
        return list(inputs) if isinstance(inputs, list | tuple) else [inputs]

    def _init_pipeline(self, cfg: Mapping[str, Any]) -> Compose:
        steps = pipeline_of_tests(cfg)
        if not steps:
            raise ConfigError("the config has neither test_pipeline nor test_dataloader.dataset.pipeline")
        pack = InferencerPackInput(self.input_format, **self.pack_cfg)
        return Compose([pack, *pipeline_for(self.input_format, steps)])

    def _init_visualizer(self, cfg: Mapping[str, Any]) -> Any:
        """The visualizer of the config, else an `ActionVisualizer`."""
        return super()._init_visualizer({"visualizer": {"type": "ActionVisualizer"}, **cfg})

    def visualize(  # type: ignore[override]
        self,
        inputs: Any,
        preds: Any,
        return_vis: bool = False,
        show: bool = False,
        wait_time: int = 0,
        draw_pred: bool = True,
        fps: int = 30,
        out_type: str = "video",
        target_resolution: tuple[int, int] | None = None,
        vid_out_dir: str | PathLike[str] = "",
        **kwargs: Any,
    ) -> list[np.ndarray] | None:
        """Draw predictions into their clips.

        Returns:
            (T, H, W, 3) uint8 RGB for each clip; None when nothing is written or given back.
        """
        if show:
            raise ValueError("show=True needs a window, which there is none of: give vid_out_dir=FOLDER")
        if not return_vis and not vid_out_dir:
            return None
        drawn = []
        for clip, prediction in zip(self._inputs_to_list(inputs), preds, strict=True):
            name = f"{self.num_visualized_vids:08}.mp4" if isinstance(clip, np.ndarray) else Path(clip).name
            is_file = out_type != "img" and self.input_format != "rawframes"
            if isinstance(clip, np.ndarray) and out_type != "img":
                clip = clip[..., ::-1]  # as the visualizer takes arrays
            drawn.append(
                self.visualizer.add_datasample(
                    name,
                    clip,
                    prediction,
                    draw_gt=False,
                    draw_pred=draw_pred,
                    out_path=str(Path(vid_out_dir) / (Path(name).stem if is_file else name)) if vid_out_dir else None,
                    out_type=out_type,
                    target_resolution=target_resolution,
                    fps=fps,
                )
            )
            self.num_visualized_vids += 1
        return drawn

    def postprocess(
        self,
        preds: Any,
        visualization: Any = None,
        return_datasample: bool = False,
        print_result: bool = False,
        pred_out_file: str | PathLike[str] = "",
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Samples or dicts, printed and written where that is asked for."""
        predictions = preds if return_datasample else [self.pred2dict(sample) for sample in preds]
        result = {"predictions": predictions}
        write_result(result, print_result, pred_out_file)
        return {**result, "visualization": visualization}

    def pred2dict(self, data_sample: ActionDataSample) -> dict[str, Any]:
        """`pred_labels` and `pred_scores` of a sample as lists."""
        return {"pred_labels": data_sample.pred_label.tolist(), "pred_scores": data_sample.pred_score.tolist()}


class MMAction2Inferencer(BaseInferencer):
    """The task's inferencer by the name of its task, of which there is one: `rec`.

    Args:
        rec: a config of a recognizer, its path, or the name of a model.
        rec_weights: a checkpoint; None: the published one of a named model.
        device: where to compute; None: CUDA where there is any.
        label_file: names of the classes, one a line, for drawings.
        input_format: "video", "array" or "rawframes"; see `InferencerPackInput`.

    Raises:
        ValueError: `rec` is not given.
    """

    visualize_kwargs: ClassVar[set[str]] = ActionRecogInferencer.visualize_kwargs
    postprocess_kwargs: ClassVar[set[str]] = {"print_result", "pred_out_file"}

    def __init__(
        self,
        rec: ModelType | None = None,
        rec_weights: str | PathLike[str] | None = None,
        device: str | None = None,
        label_file: str | PathLike[str] | None = None,
        input_format: str = "video",
    ) -> None:
        if rec is None:
            raise ValueError("rec must be given: a config of a recognizer, its path, or the name of a model")
        self.visualizer = None
        self.num_visualized_imgs = 0
        self.actionrecog_inferencer = ActionRecogInferencer(rec, rec_weights, device, label_file, input_format)
        self.mode = "rec"

    def _init_pipeline(self, cfg: Any) -> Any:
        """Nothing: the task's inferencer has the pipeline."""

    def forward(self, inputs: Any, batch_size: int = 1, **kwargs: Any) -> dict[str, Any]:
        """Predictions of clips, by the task."""
        listed = self._inputs_to_list(inputs)
        predicted = self.actionrecog_inferencer(listed, return_datasamples=True, batch_size=batch_size, **kwargs)
        return {self.mode: [[sample] for sample in predicted["predictions"]]}

    def visualize(self, inputs: Any, preds: Any, show: bool = False, **kwargs: Any) -> list[np.ndarray] | None:
        """Draw predictions into their clips, see `ActionRecogInferencer.visualize`."""
        samples = [samples[0] for samples in preds["rec"]]
        return self.actionrecog_inferencer.visualize(inputs, samples, show=show, **kwargs)

    def __call__(self, inputs: VideoInputs, batch_size: int = 1, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Predict.

        Args:
            inputs: a clip or a list of clips, as `input_format` says.
            batch_size: clips that go through the model together.
            kwargs: see `ActionRecogInferencer.__call__`.

        Returns:
            `predictions`: a dict with `rec_labels` and `rec_scores`, lists of one list, for each
            clip; `visualization`: as there.
        """
        _, _, of_visualize, of_postprocess = self._dispatch_kwargs(**kwargs)
        listed = self._inputs_to_list(inputs)
        preds = self.forward(listed, batch_size)
        return self.postprocess(preds, self.visualize(listed, preds, **of_visualize), **of_postprocess)

    def _inputs_to_list(self, inputs: Any) -> list[Any]:
        return self.actionrecog_inferencer._inputs_to_list(inputs)

    def postprocess(
        self,
        preds: Any,
        visualization: Any = None,
        return_datasample: bool = False,
        print_result: bool = False,
        pred_out_file: str | PathLike[str] = "",
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Dicts of lists, printed and written where that is asked for."""
        as_dict = self.actionrecog_inferencer.pred2dict
        clips = [[as_dict(sample) for sample in samples] for samples in preds["rec"]]
        predictions = [
            {
                "rec_labels": [answer["pred_labels"] for answer in clip],
                "rec_scores": [answer["pred_scores"] for answer in clip],
            }
            for clip in clips
        ]
        write_result({"predictions": predictions}, print_result, pred_out_file)
        return {"predictions": predictions, "visualization": visualization}


def write_result(result: dict[str, Any], print_result: bool, pred_out_file: str | PathLike[str]) -> None:
    """Print predictions, and write them to a JSON or pickle file, by its suffix.

    Raises:
        ValueError: the file has another suffix.
    """
    if print_result:
        print(result)  # noqa: T201
    if not pred_out_file:
        return
    file = Path(pred_out_file)
    if file.suffix not in (".json", ".pkl", ".pickle"):
        raise ValueError(f"pred_out_file must end with .json, .pkl or .pickle, got {file}")
    file.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(result).encode() if file.suffix == ".json" else pickle.dumps(result)
    file.write_bytes(content)
