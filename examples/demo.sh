#!/usr/bin/env bash
# Pre-train a small encoder on rendered hands, from a fresh clone: set up .venv, and run
# examples/pretrain_freihand.py with the words that you give.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/venv train
echo "starting; the first line of the run comes within a minute"
exec .venv/bin/python examples/pretrain_freihand.py "$@"
