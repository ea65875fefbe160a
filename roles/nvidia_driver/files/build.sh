#!/bin/sh
# Has DKMS compile the driver's module for a kernel that lacks it: build.sh KERNEL VERSION. Fails, with the end of what
# DKMS says, where the module is not there in that version afterwards.
set -u
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
kernel=$1 version=$2
# As in look.sh.
names='nvidia-current-open nvidia-current nvidia'

there() {
    for name in $names; do
        [ "$(modinfo -k "$kernel" -F version "$name" 2>/dev/null)" != "$version" ] || return 0
    done
    return 1
}

if ! command -v dkms >/dev/null; then
    echo 'dkms is not installed'
    exit 1
fi
said=$(dkms autoinstall -k "$kernel" 2>&1)
# A module that was deleted behind its back counts as installed for DKMS.
there || for module in $(dkms status | sed -n 's|^\(nvidia[^/, ]*\)[/,] *\([^,: ]*\).*|\1/\2|p' | sort -u); do
    said="$said
$(dkms install --force "$module" -k "$kernel" 2>&1)"
done
# DKMS leaves the list of modules alone where it is gone.
there || depmod "$kernel"
there && exit 0
echo "$said" | tail -n 5
exit 1
