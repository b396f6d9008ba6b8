#!/usr/bin/env bash
# Set up .venv, or see in a moment that there is nothing to do. Arguments go to pip.
set -euo pipefail
cd "$(dirname "$0")/.."
apt="sudo apt-get install -y python3 python3-venv python3-pip make"

python=""
for name in ${PYTHON:-python3 python3.11 python3.12 python3.13}; do
  if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$name
    break
  fi
done
if [[ -z $python ]]; then
  echo "Python 3.11 or later is missing. On Debian 12, Ubuntu 24.04 or later: $apt" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "$python cannot make a virtual environment. On Debian and Ubuntu: $apt" >&2
  exit 1
fi

# The stamp lies in the environment, so that it goes when the environment goes.
want=$({ cat pyproject.toml constraints.txt; "$python" --version; pwd; } | sha256sum | cut -d' ' -f1)
stamp=.venv/.installed
sound() {
  .venv/bin/python -c '
import importlib.util as util, sys
need = ("cluster", "click", "grpc", "pyarrow", "ray", "torch", "numba", "jwt", "structlog", "pytest", "ruff", "mypy")
sys.exit(any(util.find_spec(name) is None for name in need))' 2>/dev/null && [[ -x .venv/bin/twin ]]
}
if [[ -f $stamp && $(<"$stamp") == "$want" ]] && sound; then
  exit 0
fi

echo "installing into .venv: minutes, and 2.4 GB, once"
began=$SECONDS
rm -f "$stamp"
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  "$python" -m venv --clear .venv
fi
# torch comes first and in the same call: another order may choose another build of it.
if ! .venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt \
  torch==2.13.0 -e '.[arrow,server,ml,dev]' "$@"; then
  echo "pip failed. Is the network there? README names the index of torch's CPU build, for" >&2
  echo "make install PIP_ARGS='--extra-index-url ...'" >&2
  exit 1
fi
if ! sound; then
  echo "the installation is not whole; remove .venv and run make install again" >&2
  exit 1
fi
# Compiled once here: else eight shards of the first start compile the same loops side by side.
.venv/bin/python -c 'from twin.warm import warm; warm()'
echo "$want" >"$stamp"
echo "installed in $((SECONDS - began)) s"
