#!/usr/bin/env bash
# Run the tests, from a fresh clone: makes .venv, installs equicon with the extras "train" and "dev", and runs pytest with
# the words that you give.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -e .venv ] || python3 -m venv .venv
.venv/bin/pip install -q -e '.[train,dev]'
exec .venv/bin/python -m pytest -q -n auto "$@"
