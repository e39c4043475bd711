"""How the 2.5D model is fine-tuned, whatever it learns from."""

REFINE_RATE = 10.0
"""The learning rate of ``Pose25D.refine`` over that of all else: the root's depth, some ten bone lengths, begins at a
rough closed form."""

CLIP_NORM = 1.0
"""The greatest length of the gradient over all weights of a ``Pose25D``: an early closed form can be far off."""
