"""Images from disk: folders, boxes, keypoints, videos, handling of images that cannot be read, and grouped batches."""

from equicon._public import claim
from equicon.data._boxes import Boxed
from equicon.data._coco import CocoKeypoints
from equicon.data._corrupt import CorruptImage, Reader, SkipCorrupt
from equicon.data._deeplabcut import DeepLabCutKeypoints
from equicon.data._folders import UnlabelledImages
from equicon.data._grouped import GroupedBatchSampler
from equicon.data._keypoints import KeypointDataset, KeypointSample
from equicon.data._layouts import is_video, keypoint_layout, open_keypoints
from equicon.data._reading import read_rgb
from equicon.data._video import VideoFrames, write_video
from equicon.data._write_keypoints import write_coco_keypoints, write_deeplabcut
from equicon.data._write_predictions import (
    write_coco_results,
    write_deeplabcut_predictions,
    write_video_predictions,
)

__all__ = [
    "Boxed",
    "CocoKeypoints",
    "CorruptImage",
    "DeepLabCutKeypoints",
    "GroupedBatchSampler",
    "KeypointDataset",
    "KeypointSample",
    "Reader",
    "SkipCorrupt",
    "UnlabelledImages",
    "VideoFrames",
    "is_video",
    "keypoint_layout",
    "open_keypoints",
    "read_rgb",
    "write_coco_keypoints",
    "write_coco_results",
    "write_deeplabcut",
    "write_deeplabcut_predictions",
    "write_video",
    "write_video_predictions",
]

claim(__all__, globals())
