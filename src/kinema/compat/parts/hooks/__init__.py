"""OpenMMLab's hooks for runners that are not Kinema's, and with the attributes that code reads of them.

Under a run of Kinema they are Kinema's hooks. Under another runner, of a user's own or a test's,
they do by themselves what OpenMMLab's do there. `kinema.compat.parts.replacing` registers them.
"""
