"""A record of the clips that a run trains and validates on."""

from kinema.distributed import broadcast_object, is_main_process
from kinema.errors import ConfigError
from kinema.hooks.hook import Hook
from kinema.registry import HOOKS
from kinema.runs.clip_lists import clip_rows, moved_clips, write_clip_lists
from kinema.training.run import Run


@HOOKS.register_module()
class ClipListsHook(Hook):
    """Write the clips to train and to validate on into the work folder.

    They are `train_clips.csv` and `val_clips.csv`, for people to read.

    The datasets do not read them. A resumed run is compared with them: where the data changed so
    much that clips would move from one side to the other, it is refused.
    """

    def before_train(self, runner: Run) -> None:
        """Compare a resumed run with the lists, then write them.

        Raises:
            ConfigError: a clip would move from one side to the other.
        """
        problem = None
        if is_main_process():
            loops = (runner.loops.get("train"), runner.loops.get("val"))
            lists = [[] if loop is None else clip_rows(loop.dataloader.dataset) for loop in loops]
            problem = moved_clips(runner.work_dir, lists) if runner.progress.iteration else None
            if problem is None:
                write_clip_lists(runner.work_dir, lists)
        problem = broadcast_object(problem)
        if problem is not None:
            raise ConfigError(problem)
