#!/usr/bin/env bash
# Pre-train a small encoder on rendered hands, from a fresh clone. It makes .venv, installs equicon with the extras "train" there, and
# runs examples/pretrain_freihand.py with the words that you give.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "$0 needs Python 3.11 or later, and python3 is $(python3 --version)" >&2
    exit 1
}
[ -x .venv/bin/pip ] || python3 -m venv --clear .venv
if ! [ .venv/has-train -nt pyproject.toml ]; then
    echo "installing into .venv; this takes some minutes the first time ..."
    .venv/bin/pip install -q -e '.[train]'
    touch .venv/has-train
fi
echo "starting; the first line of the run comes within a minute"
exec .venv/bin/python examples/pretrain_freihand.py "$@"
