"""Names that OpenMMLab's configs give Kinema's parts."""

# Prefixes that all name Kinema's own parts: configs write `mmaction.Resize`, `mmengine.SGD`.
OWN_SCOPES = ("kinema", "mmaction", "mmengine", "mmcv")

# Networks of MMAction2's recognition configs that Kinema does not have yet.
NOT_YET = ("MobileOneTSM",)

# OpenMMLab has a class for each library that decodes; each does what the part of Kinema does.
ALIASES = {
    "OpenVideo": ("DecordInit", "PyAVInit", "OpenCVInit", "PIMSInit"),
    "DecodeVideo": ("DecordDecode", "OpenCVDecode", "PyAVDecode", "PIMSDecode"),
}
