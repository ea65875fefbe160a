#!/bin/sh
# Makes this host one as Debian sets it up, whose card has no driver of NVIDIA's yet.
set -eu
# The driver's packages bring a list of their own that keeps nouveau out; what counts here is that of the role.
echo 'path-exclude /usr/lib/modprobe.d/nvidia.conf' >/etc/dpkg/dpkg.cfg.d/no-list-of-its-own

# A real card's identity makes udev load both, unless they are kept out, and the second one finds it taken and fails. A
# pretended one has nobody to do so.
cat >/etc/systemd/system/card.service <<'UNIT'
[Unit]
DefaultDependencies=no
Before=inhouse-lab-hardware.service
[Service]
Type=oneshot
ExecStart=-/bin/sh -c 'modprobe -b nouveau; [ -e /sys/module/nouveau ] || modprobe -b nvidia'
[Install]
WantedBy=sysinit.target
UNIT
systemctl enable --quiet card.service
modprobe nouveau

cat >/srv/stopped.sh <<'SCRIPT'
#!/bin/sh
[ "$(systemctl is-system-running)" = stopping ] && why='went down' || why=drained
echo "$why $(cat /sys/module/nvidia/version || echo none)" >>/srv/stopped
SCRIPT
chmod +x /srv/stopped.sh
cat >/etc/systemd/system/ollama.service <<'UNIT'
[Service]
# Where there is a driver, it keeps the module from being unloaded.
ExecStart=/bin/sh -c '[ ! -e /dev/nvidiactl ] || exec 3</dev/nvidiactl; exec sleep infinity'
# A line for each time that it was stopped: whether the host was going down anyway, and the module in the kernel.
ExecStopPost=/srv/stopped.sh
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable --quiet --now ollama.service
cp /proc/sys/kernel/random/boot_id /srv/boot-before
