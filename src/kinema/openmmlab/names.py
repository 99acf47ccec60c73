"""Names that OpenMMLab's configs give Kinema's parts."""

# Prefixes that all name Kinema's own parts: configs write `mmaction.Resize`, `mmengine.SGD`.
OWN_SCOPES = ("kinema", "mmaction", "mmengine", "mmcv")

# Networks of MMAction2's configs, over skeletons and sound, that Kinema does not have yet.
NOT_YET = ("AAGCN", "ResNetAudio", "RGBPoseConv3D", "STGCN")

# OpenMMLab has a class for each library that decodes; each does what the part of Kinema does.
ALIASES = {
    "OpenVideo": ("DecordInit", "PyAVInit", "OpenCVInit", "PIMSInit"),
    "DecodeVideo": ("DecordDecode", "OpenCVDecode", "PyAVDecode", "PIMSDecode"),
}
