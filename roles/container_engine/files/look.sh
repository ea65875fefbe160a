#!/bin/sh
# What the role must know of a host before it decides. Changes nothing. One KEY=VALUE a line; a key may come more than once:
#   foreign     an engine that is not the role's to manage
#   tcp         a file outside daemon.json that makes Docker listen on TCP
#   active      the unit of Docker runs
#   unread      daemon.json is newer than Docker's last start or reload, or a restart that was due never came
#   refreshes   NVIDIA's toolkit keeps its description of the GPUs up to date by itself (from 1.18)
set -u
daemon_json=/etc/docker/daemon.json
restart_due=/run/container-engine-restart-due

[ ! -e /snap/bin/docker ] || echo "foreign=Docker of the snap store"
for unit in /home/*/.config/systemd/user/docker.service /root/.config/systemd/user/docker.service; do
    [ ! -e "$unit" ] || echo "foreign=rootless Docker ($unit)"
done
for program in /usr/bin/dockerd /usr/sbin/dockerd /usr/local/bin/dockerd /usr/local/sbin/dockerd /opt/bin/dockerd; do
    [ ! -e "$program" ] || dpkg-query --search "$(readlink -f "$program")" >/dev/null 2>&1 ||
        echo "foreign=Docker without a package ($program)"
done

units=/etc/systemd/system
for file in /etc/default/docker "$units"/docker.service "$units"/docker.service.d/*.conf /lib/systemd/system/docker.service; do
    [ ! -f "$file" ] || ! grep -qE '^[^#]*tcp://' "$file" || echo "tcp=$file"
done
for file in "$units"/docker.socket "$units"/docker.socket.d/*.conf; do
    [ ! -f "$file" ] || ! grep -qE '^ListenStream=([0-9]|\[|\*)' "$file" || echo "tcp=$file"
done

if systemctl --quiet is-active docker.service; then
    echo active=yes
    last=$(systemctl show --timestamp=unix --property StateChangeTimestamp --value docker.service | tr -d @)
    [ ! -e "$daemon_json" ] || [ "$(stat --format %Y "$daemon_json")" -le "$last" ] || echo unread=yes
    [ ! -e "$restart_due" ] || echo unread=yes
fi
! systemctl cat nvidia-cdi-refresh.path nvidia-cdi-refresh.service >/dev/null 2>&1 || echo refreshes=yes
