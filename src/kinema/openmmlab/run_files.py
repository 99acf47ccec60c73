"""Which files a run writes where its config does not say, and the release of MMEngine whose form they have.

`kinema.compat.install()` sets `also_pth`: code written for OpenMMLab looks for `.pth` files, and for the
config under the name of its file.
"""

also_pth = False
MMENGINE = "0.10.7"
