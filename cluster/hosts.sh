#!/usr/bin/env bash
# A cluster on machines that you have, over SSH.
#   hosts.sh up FILE                        install and start every host; again: what is not up
#   hosts.sh add FILE HOST [OPTION...]      one more host, noted in the file
#   hosts.sh remove FILE HOST               what runs there is moved first
#   hosts.sh status FILE
#   hosts.sh down FILE
# FILE has a host a line, the head first: [USER@]ADDRESS [OPTION...], where the address is the one
# by which the hosts reach each other and an OPTION is one of `ray start`, such as --num-gpus=1.
# GATELAB_SSH (default: ssh) is how to reach them; GATELAB_SETTINGS (default:
# ~/.gatelab/settings.env) is what secrets.sh calls settings.env, with mode 600.
# Needs bash 4.4 or newer, here and on the hosts.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
settings=${GATELAB_SETTINGS:-$HOME/.gatelab/settings.env}
node=.gatelab/source/cluster/node.sh

on() { # HOST COMMAND: output is marked with the host, input goes there
  ${GATELAB_SSH:-ssh} "$1" "$2" 2> >(sed "s/^/$1: /" >&2)
}
address() { echo "${1#*@}"; }
options() { printf ' %q' "--node-ip-address=$(address "$1")" "${@:2}"; }

read_file() { # sets hosts: their lines, the head's first
  [ -f "$1" ] || { echo "no such file: $1" >&2 && exit 2; }
  mapfile -t hosts < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1")
  [ ${#hosts[@]} -gt 0 ] || { echo "$1: no host in it" >&2 && exit 2; }
  read -r head _ <<<"${hosts[0]}"
}

each() { # FUNCTION LINE...: for every line at once; fails if one fails
  local function=$1 line jobs=() failed=0
  shift
  for line in "$@"; do
    # shellcheck disable=SC2086 - a line is a host and its options
    "$function" $line &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  return $failed
}

checkout() { # its files, what is not committed included
  git ls-files -co --exclude-standard | while read -r path; do [ ! -e "$path" ] || echo "$path"; done
}

prepare() { # HOST: this checkout, the settings, the environment
  (cd "$here" && checkout | tar -czf - -T -) |
    on "$1" 'cd && umask 077 && mkdir -p .gatelab && cd .gatelab && rm -rf source.new &&
      mkdir source.new && tar -xz -C source.new && rm -rf source.old &&
      { [ ! -e source ] || mv source source.old; } && mv source.new source'
  on "$1" 'umask 077; cat >.gatelab/settings.env.new && cd .gatelab &&
    mv settings.env.new settings.env && source/cluster/install.sh' <"$settings"
}

start_worker() { # HOST [OPTION...]
  on "$head" 'cat .gatelab/ray_token' | on "$1" 'umask 077; cat >.gatelab/ray_token'
  on "$1" "$node start worker $(address "$head")$(options "$@")" </dev/null
}

nodes() { # of the head's Ray, 0 where it does not answer
  on "$head" '. .gatelab/env; python .gatelab/source/cluster/nodes.py 2>/dev/null || echo 0' </dev/null
}

await() { # COUNT
  local end=$((SECONDS + 180)) there=0
  while there=$(nodes) && [ "$there" -lt "$1" ]; do
    if [ $SECONDS -ge $end ]; then
      echo "$there of $1 hosts joined; the others' ~/.gatelab/logs/ray.log says why" >&2
      return 1
    fi
    sleep 1
  done
  echo "$there hosts are up"
}

check_settings() {
  [ -f "$settings" ] || { echo "no settings: $settings (docs/cluster.md, Settings)" >&2 && exit 2; }
  [ -n "$(find -L "$settings" -perm 600)" ] || { echo "chmod 600 $settings: it holds secrets" >&2 && exit 2; }
}

up() {
  check_settings
  each prepare "${hosts[@]}"
  # shellcheck disable=SC2086
  on "$head" "$node start head$(options ${hosts[0]})" </dev/null
  # Before the workers, which in a test share its CPUs: Ray gives a start 30 s.
  on "$head" "$node ready" </dev/null
  each start_worker "${hosts[@]:1}"
  await ${#hosts[@]}
}

add() { # FILE HOST [OPTION...]
  check_settings
  prepare "$2"
  start_worker "${@:2}"
  echo "${*:2}" >>"$1"
  await $((${#hosts[@]} + 1))
}

remove() { # FILE HOST
  stop_host "$2"
  awk -v host="$2" '$1 != host' "$1" >"$1.new"
  mv "$1.new" "$1"
}

stop_host() { on "$1" "[ ! -e $node ] || $node stop" </dev/null; }
show_host() { on "$1" "$node status" </dev/null || echo "$1: not reached"; }

[ $# -ge 2 ] || { sed -n '2,7s/^# //p' "$0" >&2 && exit 2; }
read_file "$2"
case $1 in
  up) up ;;
  add) add "${@:2}" ;;
  remove) remove "${@:2}" ;;
  status)
    each show_host "${hosts[@]}"
    on "$head" ". .gatelab/env && $node status | grep -q up && ray status" </dev/null
    ;;
  down)
    each stop_host "${hosts[@]:1}" || failed=1
    stop_host "$head" && exit ${failed:-0}
    ;;
  *) echo "hosts.sh: no command $1; there are up, add, remove, status, down" >&2 && exit 2 ;;
esac
