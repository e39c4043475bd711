"""What the training programmes for hands share: data sources, views and options. Provisional until 1.0."""

from equicon.hands.recipes._drawing import draw_bones, draw_skeletons
from equicon.hands.recipes._refining import CLIP_NORM, REFINE_RATE

__all__ = ["CLIP_NORM", "REFINE_RATE", "draw_bones", "draw_skeletons"]
