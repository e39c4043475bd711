"""Hands: the skeleton, the camera, synthetic images, FreiHAND and its metrics, folders of photographs."""

from equicon.hands._camera import project
from equicon.hands._corrupt import CorruptImage, SkipCorrupt
from equicon.hands._features import Features, extract_features
from equicon.hands._freihand import FreiHAND
from equicon.hands._images import Boxed, UnlabelledImages
from equicon.hands._metrics import auc, epe, pck, procrustes_align
from equicon.hands._probe import ProbeResult, format_probes, probe, probe_table
from equicon.hands._skeleton import BONES, JOINT_NAMES, Hand
from equicon.hands._stream import SyntheticHandStream
from equicon.hands._synthetic import SyntheticHands
from equicon.hands._write import write_freihand

__all__ = [
    "BONES",
    "JOINT_NAMES",
    "Boxed",
    "CorruptImage",
    "Features",
    "FreiHAND",
    "Hand",
    "ProbeResult",
    "SkipCorrupt",
    "SyntheticHandStream",
    "SyntheticHands",
    "UnlabelledImages",
    "auc",
    "epe",
    "extract_features",
    "format_probes",
    "pck",
    "probe",
    "probe_table",
    "procrustes_align",
    "project",
    "write_freihand",
]
