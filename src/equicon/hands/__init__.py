"""Hands: the skeleton, the camera, synthetic images, FreiHAND and its metrics, YouTube3DHands, photographs."""

from equicon.hands._camera import project
from equicon.hands._corrupt import CorruptImage, SkipCorrupt
from equicon.hands._features import Features, extract_features
from equicon.hands._freihand import FreiHAND
from equicon.hands._images import UnlabelledImages
from equicon.hands._lift import lift, palm_from_wrist, root_depth, wrist_from_palm
from equicon.hands._metrics import auc, epe, pck, procrustes_align
from equicon.hands._pose25d import Pose, Pose25D
from equicon.hands._probe import ProbeResult, format_probes, probe, probe_table
from equicon.hands._released import read_encoder, read_pose25d
from equicon.hands._skeleton import BONES, JOINT_NAMES, Hand
from equicon.hands._square import Boxed
from equicon.hands._stream import SyntheticHandStream
from equicon.hands._synthetic import SyntheticHands
from equicon.hands._two_pass import pose_frame, predict_two_pass
from equicon.hands._weights import load_weights
from equicon.hands._write import write_freihand
from equicon.hands._write_youtube import write_youtube
from equicon.hands._youtube import YouTube3DHands, YouTubeSummary

__all__ = [
    "BONES",
    "JOINT_NAMES",
    "Boxed",
    "CorruptImage",
    "Features",
    "FreiHAND",
    "Hand",
    "Pose",
    "Pose25D",
    "ProbeResult",
    "SkipCorrupt",
    "SyntheticHandStream",
    "SyntheticHands",
    "UnlabelledImages",
    "YouTube3DHands",
    "YouTubeSummary",
    "auc",
    "epe",
    "extract_features",
    "format_probes",
    "lift",
    "load_weights",
    "palm_from_wrist",
    "pck",
    "pose_frame",
    "predict_two_pass",
    "probe",
    "probe_table",
    "procrustes_align",
    "project",
    "read_encoder",
    "read_pose25d",
    "root_depth",
    "wrist_from_palm",
    "write_freihand",
    "write_youtube",
]
