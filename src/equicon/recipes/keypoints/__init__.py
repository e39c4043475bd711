"""What only the training programs for keypoints share: options, data, errors and pictures.

The names and arguments are provisional and may change until 1.0. The module needs the extra: ``pip install
'equicon[train]'``.
"""

from equicon._public import claim
from equicon.training import need

need("torchvision", "tqdm", "matplotlib")

from equicon.recipes._beside import MEAN, TUNED
from equicon.recipes._sheets import draw_keypoints, draw_sheet, overlay
from equicon.recipes.keypoints._averaging import average_keypoints
from equicon.recipes.keypoints._data import (
    KeypointData,
    load_keypoint_data,
    make_task,
    mean_pose,
    open_for_views,
    open_pictures,
    sum_labels,
)
from equicon.recipes.keypoints._errors import (
    NEAR,
    KeypointErrors,
    format_keypoint_errors,
    keypoint_errors,
)
from equicon.recipes.keypoints._options import parse_keypoint_args
from equicon.recipes.keypoints._teaching import first_of, flat_points, read_points
from equicon.recipes.keypoints._testing import Tested, run_keypoints, short_name, stacked

__all__ = [
    "MEAN",
    "NEAR",
    "TUNED",
    "KeypointData",
    "KeypointErrors",
    "Tested",
    "average_keypoints",
    "draw_keypoints",
    "draw_sheet",
    "first_of",
    "flat_points",
    "format_keypoint_errors",
    "keypoint_errors",
    "load_keypoint_data",
    "make_task",
    "mean_pose",
    "open_for_views",
    "open_pictures",
    "overlay",
    "parse_keypoint_args",
    "read_points",
    "run_keypoints",
    "short_name",
    "stacked",
    "sum_labels",
]

claim(__all__, globals())
