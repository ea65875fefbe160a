#!/bin/sh
# Serves the stand-in for NVIDIA's repository on this host, after a reboot too.
set -eu
cat >/etc/systemd/system/stand-in-cuda.service <<'UNIT'
[Service]
WorkingDirectory=/srv/cuda-www
ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 8001
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable --quiet --now stand-in-cuda.service
