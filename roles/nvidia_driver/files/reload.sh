#!/bin/sh
# Loads the driver's module, in place of an older one where that is free. Says what happened in a line: busy=REASON when only a reboot helps
# (nothing was touched then), failed=REASON, or loaded=yes.
set -u
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
# Those that build on others come first.
modules='nvidia_drm nvidia_modeset nvidia_uvm nvidia_peermem nvidia_fs nvidia'

for module in $modules; do
    [ -e "/sys/module/$module/refcnt" ] || continue
    # Each module that builds on this one counts as a user.
    users=$(($(cat "/sys/module/$module/refcnt") - $(find "/sys/module/$module/holders" -mindepth 1 2>/dev/null | wc -l)))
    if [ "$users" -gt 0 ]; then
        echo "busy=the module $module is in use ($users times)"
        exit 0
    fi
done
for module in $modules; do
    [ -e "/sys/module/$module/refcnt" ] || continue
    said=$(rmmod "$module" 2>&1) || {
        echo "busy=$said"
        exit 0
    }
done
for module in nvidia nvidia-uvm; do
    # Not every driver has a second one; one that is there must load.
    [ "$module" = nvidia ] || modprobe --show-depends "$module" >/dev/null 2>&1 || continue
    said=$(modprobe "$module" 2>&1) || {
        echo "failed=$said $(dmesg 2>/dev/null | grep -E 'NVRM|nvidia' | tail -n 5 | tr '\n' ' ')"
        exit 0
    }
done
echo loaded=yes
