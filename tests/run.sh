#!/usr/bin/env bash
# Run the tests, from a fresh clone: set up .venv, and run pytest with the words that you give.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/venv train,dev
exec .venv/bin/python -m pytest -q -n auto "$@"
