"""Hands: the skeleton, the camera, rendered images, FreiHAND, YouTube3DHands, and the 2.5D model."""

from equicon._public import claim
from equicon.hands._camera import project
from equicon.hands._datasets.freihand import FreiHAND
from equicon.hands._datasets.write_freihand import write_freihand
from equicon.hands._datasets.write_youtube import write_youtube
from equicon.hands._datasets.youtube import YouTube3DHands, YouTubeSummary
from equicon.hands._pose.errors import PoseErrors, pose_errors
from equicon.hands._pose.leaderboard import write_leaderboard
from equicon.hands._pose.lift import lift, palm_from_wrist, root_depth, wrist_from_palm
from equicon.hands._pose.loss import pose_loss
from equicon.hands._pose.pose25d import Pose, Pose25D
from equicon.hands._pose.predict import HandJoints, predict
from equicon.hands._pose.released import read_encoder, read_pose25d
from equicon.hands._pose.target import PoseTarget, pose_crop, pose_target
from equicon.hands._pose.two_pass import pose_frame, predict_two_pass
from equicon.hands._rendered.stream import SyntheticHandStream
from equicon.hands._rendered.synthetic import SyntheticHands
from equicon.hands._skeleton import BONES, JOINT_NAMES, Hand, bone_length

__all__ = [
    "BONES",
    "JOINT_NAMES",
    "FreiHAND",
    "Hand",
    "HandJoints",
    "Pose",
    "Pose25D",
    "PoseErrors",
    "PoseTarget",
    "SyntheticHandStream",
    "SyntheticHands",
    "YouTube3DHands",
    "YouTubeSummary",
    "bone_length",
    "lift",
    "palm_from_wrist",
    "pose_crop",
    "pose_errors",
    "pose_frame",
    "pose_loss",
    "pose_target",
    "predict",
    "predict_two_pass",
    "project",
    "read_encoder",
    "read_pose25d",
    "root_depth",
    "wrist_from_palm",
    "write_freihand",
    "write_leaderboard",
    "write_youtube",
]

claim(__all__, globals())
