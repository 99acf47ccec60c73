"""The names of the files in a work folder."""

SETTINGS_FILE = "run.json"
LOCK_FILE = ".lock"
HOLDER_FILE = ".lock.holder"
GUIDE_FILE = "guide.json"  # what was seen of the data before the training

# A run was here when one of these is.
SIGNS_OF_A_RUN = ("checkpoints", "metrics.jsonl", "summary.json", "broken.jsonl")
# What a run writes into its work folder.
RUN_FILES = (
    *SIGNS_OF_A_RUN,
    *(SETTINGS_FILE, "config.py", "train.log", "train_clips.csv", "val_clips.csv", GUIDE_FILE),
    *("nonfinite.jsonl", "hang.txt"),
    *("tensorboard", "wandb", "wandb_steps.json", "mlflow.db", "mlflow_files", "mlflow_steps.json"),  # of trackers
)
RUN_FOLDERS = ("checkpoints", "tensorboard", "wandb", "mlflow_files")  # those that are no files
