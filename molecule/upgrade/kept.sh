#!/bin/sh
# Prints what an upgrade must keep on a host: models as they were downloaded, certificate, secrets (as checksums).
set -eu
find /var/lib/ollama/models/blobs -type f -printf 'blob %f, inode %i, written %T@\n' | sort
sha256sum /etc/inhouse/fleet /etc/inhouse/tls/*
for name in WEBUI_SECRET_KEY WEBUI_ADMIN_PASSWORD; do
    printf '%s ' "$name"
    grep "^$name=" /etc/inhouse/open-webui.env | sha256sum
done
