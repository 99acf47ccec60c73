"""Files by path or web address: what `mmengine.fileio` and `mmcv.load`/`mmcv.dump` do."""
