"""The kit that training programs share: a run's life, checkpoints, a journal, ranks, batches, a schedule, options.

A program derives its run from ``Training``, writes the training loop itself, and calls ``launch``.
The names and arguments are provisional and may change until 1.0. You can import this module with the core of equicon
alone. To start a run, install the extra: ``pip install 'equicon[train]'``.
"""

from equicon._extra import need
from equicon._public import claim
from equicon.data._files import write_text, write_whole
from equicon.data._seeds import seed_of
from equicon.training._batches import Batches, Shares, loading
from equicon.training._checkpoints import Checkpoints, Stop, load_state, size_of, write_state
from equicon.training._journal import PAUSE, Journal, NotFiniteError, Stopwatch, write_figure
from equicon.training._lifecycle import interruptible, last_line, launch
from equicon.training._model import is_finite, parameter_groups, plain_state
from equicon.training._options import (
    PRECISIONS,
    Help,
    Once,
    Several,
    add_figure,
    arguments_text,
    check_begun,
    check_device,
    choose_out,
    fast_precision,
    number,
    read_arguments,
    whole,
)
from equicon.training._ranks import ALONE, Ranks, joined
from equicon.training._schedule import learning_rate
from equicon.training._stdout import escape_stdout
from equicon.training._training import RunData, Training, WeightsError

__all__ = [
    "ALONE",
    "PAUSE",
    "PRECISIONS",
    "Batches",
    "Checkpoints",
    "Help",
    "Journal",
    "NotFiniteError",
    "Once",
    "Ranks",
    "RunData",
    "Several",
    "Shares",
    "Stop",
    "Stopwatch",
    "Training",
    "WeightsError",
    "add_figure",
    "arguments_text",
    "check_begun",
    "check_device",
    "choose_out",
    "escape_stdout",
    "fast_precision",
    "interruptible",
    "is_finite",
    "joined",
    "last_line",
    "launch",
    "learning_rate",
    "load_state",
    "loading",
    "need",
    "number",
    "parameter_groups",
    "plain_state",
    "read_arguments",
    "seed_of",
    "size_of",
    "whole",
    "write_figure",
    "write_state",
    "write_text",
    "write_whole",
]

claim(__all__, globals())
