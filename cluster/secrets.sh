#!/usr/bin/env bash
# Makes what is missing of a host's secrets, each in a file that only its user can read.
#   secrets.sh head|worker
#
# ~/.gatelab/settings.env   yours: GATELAB_STORAGE, AWS_*, and whatever of env you set otherwise
# ~/.gatelab/ray_token      made on the head, copied to the workers
# ~/.gatelab/env            sourced before anything starts; only the head's has MLflow's password
# ~/.gatelab/mlflow_key     the head's: signs MLflow's forms
set -euo pipefail
umask 077
state=$HOME/.gatelab
mkdir -p "$state/logs"
cd "$state"

secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

[ -n "${GATELAB_STORAGE-}" ] || grep -qs '^GATELAB_STORAGE=.' settings.env || {
  echo "$(hostname): no GATELAB_STORAGE in ~/.gatelab/settings.env (docs/cluster.md, Settings)" >&2
  exit 2
}

if [ ! -f env ]; then
  cat >env.new <<'END'
# Made by cluster/secrets.sh. What settings.env or the environment sets goes before it.
set -a
[ ! -f "$HOME/.gatelab/settings.env" ] || . "$HOME/.gatelab/settings.env"
: "${GATELAB_FOLDER:=$HOME/gatelab}" "${GATELAB_VENV:=$HOME/.gatelab/venv}"
: "${RAY_AUTH_MODE:=token}" "${RAY_AUTH_TOKEN_PATH:=$HOME/.gatelab/ray_token}"
: "${RAY_USAGE_STATS_ENABLED:=0}" "${MLFLOW_DISABLE_TELEMETRY:=true}"
PATH=$GATELAB_VENV/bin:$PATH
END
  [ "$1" != head ] || cat >>env.new <<END
: "\${MLFLOW_TRACKING_URI:=http://127.0.0.1:5000}" "\${MLFLOW_TRACKING_USERNAME:=gatelab}"
: "\${MLFLOW_TRACKING_PASSWORD:=$(secret)}"
END
  echo 'set +a' >>env.new
  mv env.new env
fi

if [ "$1" = head ]; then
  [ -s ray_token ] || secret >ray_token
  [ -s mlflow_key ] || secret >mlflow_key
fi
