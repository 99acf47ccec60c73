"""The releases whose names the shim serves, so that checks of the version in users' code pass."""

MMACTION, MMACTION_NUMBERS = "1.2.0", (1, 2, 0)
MMENGINE, MMENGINE_NUMBERS = "0.10.7", (0, 10, 7)
MMCV, MMCV_NUMBERS = "2.1.0", (2, 1, 0)
DECORD = "0.6.0"
