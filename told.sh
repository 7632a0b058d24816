#!/bin/sh
# Run a command, and tell meanwhile that it lives: told.sh LOG FOLDER COMMAND [ARGUMENT]...
#
# What the command says goes into LOG, whose last lines are shown if it fails. Told are the seconds, the size of
# FOLDER and the last line of LOG: in one line that changes, or where nobody looks on in one every half minute.
log=$1 folder=$2
shift 2
if [ -t 1 ]; then
    every=2 form='\r\033[K  %s s, %s: %s' end='\r\033[K'
else
    every=30 form='  %s s, %s: %s\n' end=''
fi

tell() {
    begun=$(date +%s)
    while sleep "$every" 3>&- && kill -0 $$; do # ends with the command, and with a shell that Ctrl-C has ended
        seconds=$(($(date +%s) - begun))
        printf "$form" "$seconds" "$(du -sh "$folder" | cut -f 1)" "$(tail -n 1 "$log" | cut -c 1-56)" >&3
    done
}

mkdir -p "$(dirname "$log")"
: > "$log"
tell 3>&1 > /dev/null 2>&1 &
teller=$!
"$@" > "$log" 2>&1
code=$?
kill "$teller"
printf "$end"
[ "$code" -eq 0 ] || tail -n 20 "$log" >&2
exit "$code"
