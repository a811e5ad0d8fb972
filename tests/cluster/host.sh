#!/bin/bash
# Turns the namespaces it is started in (mount, pid, uts, network) into one host of the LAN.
# usage: host.sh NAME FOLDER SEEN...
#   NAME    host name
#   FOLDER  what the host has for itself: root/ (its HOME), tmp/, passwd, sshd_config
#   SEEN    folders of this machine that are to be seen at their own place (code, Python)
set -eu
name=$1 own=$2
shift 2
hostname "$name"

# HOME and /tmp are about to be covered, and what the host is to see may lie below them.
for seen in "$@"; do
  for covered in root tmp; do
    case $seen in
      /"$covered"/*)
        mkdir -p "$own$seen"
        mount --bind -o ro "$seen" "$own$seen"
        ;;
    esac
  done
done
mount --bind "$own/passwd" /etc/passwd
mount --bind "$own/sshd_config" /etc/ssh/sshd_config
mount --rbind "$own/root" /root
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir -m 755 /run/sshd
touch "$own/ready"
mount --rbind "$own/tmp" /tmp
# No command of a cluster file may change the machine that plays the hosts.
mount -o remount,bind,ro /

# This shell stays as process 1: it reaps what daemons leave behind.
cd /root
"$(command -v sshd)" -D -e &
wait
