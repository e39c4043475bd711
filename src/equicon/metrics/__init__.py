"""Errors of predicted keypoints: metrics of FreiHAND's official evaluation, of landmarks, and of COCO, in batches.

They take any K keypoints in 2D or 3D, of hands or of other things. Where some keypoints have no label, ``visible`` says
which have one. Then only these count, and each of them counts once.

FreiHAND's official program (https://github.com/lmb-freiburg/freihand, ``eval.py``) computes each metric per keypoint
and then averages over the keypoints. Where all keypoints have labels, that makes no difference to the mean and to PCK.
The median is computed as there. Computation is in float32 at least.
"""

from equicon._public import claim
from equicon.metrics._align import procrustes_align
from equicon.metrics._coco import coco_keypoint_ap, oks
from equicon.metrics._errors import epe, nme, rmse
from equicon.metrics._shares import auc, pck

__all__ = ["auc", "coco_keypoint_ap", "epe", "nme", "oks", "pck", "procrustes_align", "rmse"]

claim(__all__, globals())
