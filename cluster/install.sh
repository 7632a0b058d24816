#!/usr/bin/env bash
# Installs this checkout with its pinned versions, unless that has been done: in ~/.gatelab/venv,
# with the python3 of the PATH or the GATELAB_PYTHON of settings.env. It must be the same minor
# version on every host. Where settings.env sets GATELAB_VENV, that environment is used as it is.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
[ ! -f ~/.gatelab/settings.env ] || . ~/.gatelab/settings.env
[ -z "${GATELAB_VENV-}" ] || exit 0
python=${GATELAB_PYTHON:-python3}
venv=$HOME/.gatelab/venv

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "$(hostname): gatelab needs Python 3.11 or newer, but $python is $("$python" -V)" >&2
  exit 2
}
pins=$(cat "$here/pyproject.toml" "$here/constraints.txt" | sha256sum)
if [ "$pins" != "$(cat "$venv/pins" 2>/dev/null)" ]; then
  "$python" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check \
    --constraint "$here/constraints.txt" --editable "$here[cluster,system]"
  echo "$pins" >"$venv/pins"
fi
