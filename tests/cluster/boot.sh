#!/usr/bin/env bash
# The first process of a test host: what a machine's start-up would do.
#   boot.sh FOLDER NAME [PATH...]   FOLDER is the host's disk; each PATH stays visible under /tmp
set -euo pipefail
folder=$1 name=$2
shift 2

hostname "$name"
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o size=1g tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir /run/sshd
for path in "$@"; do
  [[ $path == /tmp/* ]] || continue
  mkdir -p "$folder$path"
  mount --rbind "$path" "$folder$path"
done
mount --bind "$folder/etc/passwd" /etc/passwd
mount --bind "$folder/etc/hosts" /etc/hosts
mount -t tmpfs tmpfs /home
mkdir /home/gl
mount --bind "$folder/home" /home/gl
cp "$folder"/etc/sshd_config "$folder"/etc/host_key /run/sshd/
mkdir /run/bin
cp "$folder"/bin/* /run/bin/
mount --rbind "$folder/tmp" /tmp # last: the host's disk itself may lie under /tmp
cd /

/usr/sbin/sshd -f /run/sshd/sshd_config -E /home/gl/sshd.log
if [ -f /home/gl/crontab ]; then # what cron would do
  sed -n 's/^@reboot //p' /home/gl/crontab |
    env -i HOME=/home/gl LOGNAME=root SHELL=/bin/sh PATH=/run/bin:/usr/bin:/bin setsid sh &
fi
while :; do # bash takes in whatever process loses its parent
  sleep 1
done
