#!/usr/bin/env bash
# Pre-train a small encoder on rendered hands, from a fresh clone: makes .venv, installs equicon with the extra "train",
# and runs examples/pretrain_freihand.py with the words that you give.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -e .venv ] || python3 -m venv .venv
.venv/bin/pip install -q -e '.[train]'
exec .venv/bin/python examples/pretrain_freihand.py "$@"
