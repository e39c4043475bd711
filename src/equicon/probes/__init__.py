"""Probes: how well keypoints can be read out of frozen features."""

from equicon._public import claim
from equicon.probes._features import Features, extract_features
from equicon.probes._probe import ProbeResult, predict_keypoints, probe
from equicon.probes._table import format_probes, probe_table

__all__ = ["Features", "ProbeResult", "extract_features", "format_probes", "predict_keypoints", "probe", "probe_table"]

claim(__all__, globals())
