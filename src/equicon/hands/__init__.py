"""Hands: the skeleton, the camera, synthetic images, FreiHAND and its metrics."""

from equicon.hands._camera import project
from equicon.hands._freihand import FreiHAND
from equicon.hands._metrics import auc, epe, pck, procrustes_align
from equicon.hands._skeleton import BONES, JOINT_NAMES, Hand
from equicon.hands._synthetic import SyntheticHands
from equicon.hands._write import write_freihand

__all__ = [
    "BONES",
    "JOINT_NAMES",
    "FreiHAND",
    "Hand",
    "SyntheticHands",
    "auc",
    "epe",
    "pck",
    "procrustes_align",
    "project",
    "write_freihand",
]
