"""Settings that every fine-tuning of the 2.5D model shares."""

REFINE_RATE = 10.0
"""The learning rate of ``Pose25D.refine``, as a multiple of the rate of all other parts. This part corrects the root's
depth, which is about ten bone lengths and starts from a rough closed form."""

CLIP_NORM = 1.0
"""The greatest norm of the gradient over all weights of a ``Pose25D``. Longer gradients are shortened, because the
closed form for the depth can be far off in early steps."""
