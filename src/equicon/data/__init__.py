"""Images from disk: folders, boxes, and what to do about images that cannot be read."""

from equicon._public import claim
from equicon.data._boxes import Boxed
from equicon.data._corrupt import CorruptImage, SkipCorrupt
from equicon.data._folders import UnlabelledImages

__all__ = ["Boxed", "CorruptImage", "SkipCorrupt", "UnlabelledImages"]

claim(__all__, globals())
