"""Keypoint models: an encoder that says where each of any number of named keypoints is."""

from equicon._public import claim
from equicon.keypoints._heatmaps import gaussians, soft_argmax
from equicon.keypoints._loss import keypoint_loss
from equicon.keypoints._model import Head, KeypointModel, KeypointPrediction
from equicon.keypoints._stored import (
    KeypointPredictor,
    KeypointTask,
    read_keypoint_model,
    write_keypoint_model,
)
from equicon.keypoints._target import KeypointTarget, keypoint_frame, keypoint_target

__all__ = [
    "Head",
    "KeypointModel",
    "KeypointPrediction",
    "KeypointPredictor",
    "KeypointTarget",
    "KeypointTask",
    "gaussians",
    "keypoint_frame",
    "keypoint_loss",
    "keypoint_target",
    "read_keypoint_model",
    "soft_argmax",
    "write_keypoint_model",
]

claim(__all__, globals())
