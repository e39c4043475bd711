"""What the training programs share: data sources, networks, options and pictures; also those of hands alone.

The names and arguments are provisional and may change until 1.0. The module needs the extra: ``pip install
'equicon[train]'``.
"""

from equicon._public import claim
from equicon.training import need

need("torchvision", "tqdm", "matplotlib")

from equicon.recipes._averaging import MILD, AveragedPose, average_pose, views_generator
from equicon.recipes._beside import (
    FLAT_POSE,
    MEAN,
    POSE_MARGIN,
    SCRATCH,
    TUNED,
    Models,
    flat_pose,
    format_errors,
    mean_pose,
    read_pose,
)
from equicon.recipes._consistency import Teacher, check_unlabelled, geometric_views, load_unlabelled
from equicon.recipes._dataset_table import (
    SOURCES,
    Source,
    find_labelled,
    find_unlabelled,
    is_rendered,
    load_finetune_data,
)
from equicon.recipes._drawing import draw_bones, draw_skeletons
from equicon.recipes._finetune_options import parse_finetune_args
from equicon.recipes._mixture import Mixture
from equicon.recipes._networks import (
    ARCHS,
    SiameseModel,
    build_encoder,
    clip_gradients,
    encoder_options,
    encoder_rates,
    make_head,
)
from equicon.recipes._options import add_prediction, check_shares, network_name
from equicon.recipes._outcome import conclude_probes, draw_probes, explain_probes, next_command
from equicon.recipes._pictures import draw_views
from equicon.recipes._pretrain_data import (
    Batch,
    frame_of,
    labelled_batches,
    load_pretrain_data,
    training_batches,
)
from equicon.recipes._pretrain_options import parse_pretrain_args
from equicon.recipes._pretrain_parts import METHODS, pretrain_optimizer, pretrain_views
from equicon.recipes._probing import Probed, named_errors, probe_hands
from equicon.recipes._refining import CLIP_NORM, REFINE_RATE
from equicon.recipes._run_data import FinetuneData, PretrainData, Rendered, render
from equicon.recipes._studies import (
    cpu_name,
    describe_session,
    machines_of,
    open_results,
    parse_publish_args,
    publish_study,
    read_results,
    spread,
    table,
    tables_of,
    write_results,
)
from equicon.recipes._validated import Validated
from equicon.recipes._views import two_views

__all__ = [
    "ARCHS",
    "CLIP_NORM",
    "FLAT_POSE",
    "MEAN",
    "METHODS",
    "MILD",
    "POSE_MARGIN",
    "REFINE_RATE",
    "SCRATCH",
    "SOURCES",
    "TUNED",
    "AveragedPose",
    "Batch",
    "FinetuneData",
    "Mixture",
    "Models",
    "PretrainData",
    "Probed",
    "Rendered",
    "SiameseModel",
    "Source",
    "Teacher",
    "Validated",
    "add_prediction",
    "average_pose",
    "build_encoder",
    "check_shares",
    "check_unlabelled",
    "clip_gradients",
    "conclude_probes",
    "cpu_name",
    "describe_session",
    "draw_bones",
    "draw_probes",
    "draw_skeletons",
    "draw_views",
    "encoder_options",
    "encoder_rates",
    "explain_probes",
    "find_labelled",
    "find_unlabelled",
    "flat_pose",
    "format_errors",
    "frame_of",
    "geometric_views",
    "is_rendered",
    "labelled_batches",
    "load_finetune_data",
    "load_pretrain_data",
    "load_unlabelled",
    "machines_of",
    "make_head",
    "mean_pose",
    "named_errors",
    "network_name",
    "next_command",
    "open_results",
    "parse_finetune_args",
    "parse_pretrain_args",
    "parse_publish_args",
    "pretrain_optimizer",
    "pretrain_views",
    "probe_hands",
    "publish_study",
    "read_pose",
    "read_results",
    "render",
    "spread",
    "table",
    "tables_of",
    "training_batches",
    "two_views",
    "views_generator",
    "write_results",
]

claim(__all__, globals())
