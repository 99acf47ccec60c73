"""Which files a run writes where its config does not say.

`kinema.compat.install()` sets `also_pth`: code written for OpenMMLab looks for `.pth` files, and for the
config under the name of its file.
"""

also_pth = False
