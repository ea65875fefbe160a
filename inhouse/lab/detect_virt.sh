#!/bin/sh
# Stands for systemd-detect-virt on lab hosts that pretend to be real machines: no container is found. From version 257 on
# the real one finds any by its process namespace. Whether this is a virtual machine it may say as it is.
container='' quiet=''
for argument in "$@"; do
    case $argument in
        -c | --container) container=yes ;;
        -q | --quiet) quiet=yes ;;
    esac
done
[ -n "$container" ] || exec /usr/bin/systemd-detect-virt.real --vm "$@"
[ -n "$quiet" ] || echo none
exit 1
