#!/usr/bin/env bash
# What a host of a cluster runs, kept running: after a crash, and after a reboot where there is cron.
#   node.sh start head [OPTION...]            Ray's head, PostgreSQL, MLflow, the proxy before them
#   node.sh start worker ADDRESS [OPTION...]  a worker of the head at that address
#   node.sh run ...                           the same in the foreground (containers, systemd)
#   node.sh run services                      the same without Ray
#   node.sh ready                             wait until the head's services answer
#   node.sh stop | status
# Each OPTION is one of `ray start`. Logs lie in ~/.gatelab/logs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
state=$HOME/.gatelab
logs=$state/logs

# Fixed, for a firewall's sake; beside them Ray's workers listen at 10002 to 19999.
ports=(--node-manager-port=6380 --object-manager-port=6381 --runtime-env-agent-port=6382
  --dashboard-agent-listen-port=6383 --dashboard-agent-grpc-port=6384 --metrics-export-port=6385)

keep() { # NAME COMMAND...: run it again whenever it ends, until a SIGTERM, which it is given first
  local name=$1 child=
  shift
  trap 'kill "$child" 2>/dev/null || :; wait "$child" || :; leave; exit' TERM
  leave() { # what it has left behind is killed, which takes a moment, and gone
    for _ in {1..50}; do
      kill -KILL -- "-$child" 2>/dev/null || return 0
      sleep 0.1 9>&-
    done
  }
  while :; do
    setsid "$@" >>"$logs/$name.log" 2>&1 9>&- &
    child=$!
    wait "$child" || true
    leave
    echo "$(date -Is) $name ended; again in 2 s"
    sleep 2 9>&- &
    wait $!
  done
}

run() {
  local role=$1
  shift
  . "$state/env"
  exec 9>"$state/node.lock"
  flock -n 9 || { echo "$(hostname): runs already" && exit 0; }
  echo $$ >"$state/node.pid"
  ulimit -n "$(ulimit -Hn)" # Ray opens many files
  case $role in
    head)
      RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0 keep ray ray start --block --head --port=6379 \
        --dashboard-host=127.0.0.1 --dashboard-port=8266 "${ports[@]}" "$@" &
      ;;
    worker)
      # A node that is stopped tells Ray first, which moves what runs there.
      RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=10 keep ray ray start --block \
        --address="$1:6379" "${ports[@]}" "${@:2}" &
      ;;
  esac
  if [ "$role" != worker ]; then
    keep postgres "$here/postgres.sh" &
    keep mlflow "$here/mlflow.sh" &
    keep proxy python "$here/proxy.py" 8265:8266 5000:5001 &
  fi
  trap : TERM
  wait || true
  kill $(jobs -p) 2>/dev/null
  wait
}

start() {
  "$here/secrets.sh" "$1"
  { # what `ray up` says of the host comes in variables
    echo '#!/bin/bash'
    export -p | grep -E '^declare -x RAY_(enable|CLOUD|NODE|OVERRIDE)' || true
    printf 'exec %q start%s\n' "$here/node.sh" "$(printf ' %q' "$@")"
  } >"$state/boot"
  chmod 700 "$state/boot"
  at_boot "@reboot $state/boot"
  setsid "$here/node.sh" run "$@" >>"$logs/node.log" 2>&1 </dev/null &
  [ "$1" = worker ] || answers 6379 ray
}

ready() { answers 8266 ray && answers 5001 mlflow && answers 8265 proxy && answers 5000 proxy; }

answers() { # PORT NAME: wait for it
  for _ in {1..900}; do
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
    sleep 0.2
  done
  echo "$(hostname): no $2 at port $1 after 3 minutes; $logs/$2.log ends: $(tail -n 1 "$logs/$2.log")" >&2
  return 1
}

at_boot() { # [LINE]: of this user's crontab, in place of the one before
  if command -v crontab >/dev/null; then
    { crontab -l 2>/dev/null | grep -vF "$state/boot" || true; printf '%s' "${1:+$1$'\n'}"; } | crontab -
  elif [ -n "${1-}" ]; then
    echo "$(hostname): no cron here: run $state/boot after each reboot" >&2
  fi
}

running() { ! flock -n "$state/node.lock" true 2>/dev/null; }

stop() {
  at_boot
  rm -f "$state/boot"
  [ -f "$state/node.lock" ] && running || return 0
  kill -- "-$(<"$state/node.pid")"
  flock -w 60 "$state/node.lock" true || { echo "$(hostname): still runs" >&2 && exit 1; }
}

status() {
  if [ -f "$state/node.lock" ] && running; then echo "$(hostname): up"; else echo "$(hostname): down"; fi
}

"$@"
