#!/bin/sh
# Makes this host one as Debian sets it up, whose card has no driver of NVIDIA's yet.
set -eu
# A real card's identity makes udev load whichever of them is there and not kept out; a pretended one has nobody to do so.
printf 'nouveau\nnvidia\n' >/etc/modules-load.d/card.conf
modprobe nouveau

cat >/etc/systemd/system/ollama.service <<'UNIT'
[Service]
# Where there is a driver, it keeps the module from being unloaded.
ExecStart=/bin/sh -c '[ ! -e /dev/nvidiactl ] || exec 3</dev/nvidiactl; exec sleep infinity'
# A line for each time that it was stopped: whether the host is going down anyway, and the module in the kernel.
ExecStopPost=/bin/sh -c 'echo "$$(systemctl is-system-running) $$(cat /sys/module/nvidia/version || echo none)" >>/srv/stopped'
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable --quiet --now ollama.service
cp /proc/sys/kernel/random/boot_id /srv/boot-before
