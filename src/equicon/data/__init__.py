"""Images from disk: folders, boxes, handling of images that cannot be read, and batches from few groups."""

from equicon._public import claim
from equicon.data._boxes import Boxed
from equicon.data._corrupt import CorruptImage, Reader, SkipCorrupt
from equicon.data._folders import UnlabelledImages
from equicon.data._grouped import GroupedBatchSampler
from equicon.data._reading import read_rgb

__all__ = ["Boxed", "CorruptImage", "GroupedBatchSampler", "Reader", "SkipCorrupt", "UnlabelledImages", "read_rgb"]

claim(__all__, globals())
