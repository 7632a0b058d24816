#!/bin/sh
# The stand-in for cron's `crontab` on a test host; boot.sh is its daemon.
case $1 in
  -l) cat ~/crontab ;;
  -) cat >~/crontab.new && mv ~/crontab.new ~/crontab ;;
esac
