#!/bin/sh
# Stands for modprobe and rmmod on lab hosts that pretend to be real machines: a container can load no module. A module
# whose file DKMS has put under the running kernel counts as loaded from then on: /sys/module shows it with the version of
# that file. It fails with the words of the real ones where there is no such file, where the module is in use, and for what
# /etc/inhouse-lab/refused-modules names (one "NAME VERSION" a line: the card does not come up with it).
set -eu
modules=/run/inhouse-lab/module
refused=/etc/inhouse-lab/refused-modules
kernel=$(uname -r)
program=${0##*/}

kernel_name() {
    echo "$1" | tr - _
}

unload() {
    name=$(kernel_name "$1")
    [ -d "$modules/$name" ] && [ ! -L "$modules/$name" ] || {
        [ "$program" = modprobe ] || { echo "rmmod: ERROR: Module $name is not currently loaded" >&2; return 1; }
        return 0
    }
    if [ "$(cat "$modules/$name/refcnt")" != 0 ]; then
        echo "$program: ERROR: Module $name is in use" >&2
        return 1
    fi
    rm -r "${modules:?}/$name"
    [ "$name" != nvidia_uvm ] || {
        rm "$modules/nvidia/holders/nvidia_uvm"
        count_users -1
    }
}

# A module that builds on nvidia counts among its users.
count_users() {
    users=$(cat "$modules/nvidia/refcnt")
    echo $((users + $1)) >"$modules/nvidia/refcnt"
}

# In a shell of its own: it calls itself.
load() (
    name=$(kernel_name "$1")
    [ ! -d "$modules/$name" ] || exit 0
    version=$(modinfo -k "$kernel" -F version "$1" 2>/dev/null) || {
        echo "modprobe: FATAL: Module $1 not found in directory /lib/modules/$kernel" >&2
        exit 1
    }
    [ "$name" != nvidia_uvm ] || load nvidia
    ! grep -qsx "$name $version" "$refused" || {
        echo "modprobe: ERROR: could not insert '$name': No such device" >&2
        exit 1
    }
    mkdir "$modules/$name" "$modules/$name/holders"
    echo "$version" >"$modules/$name/version"
    echo live >"$modules/$name/initstate"
    echo 0 >"$modules/$name/refcnt"
    [ "$name" != nvidia_uvm ] || {
        touch "$modules/nvidia/holders/nvidia_uvm"
        count_users 1
    }
)

show() {
    modinfo -k "$kernel" -F filename "$1" 2>/dev/null
}

action=load
[ "$program" != rmmod ] || action=unload
for argument in "$@"; do
    case $argument in
        -r | --remove) action=unload ;;
        -D | --show-depends) action=show ;;
        -*) ;;
        *=*) ;;
        *) "$action" "$argument" ;;
    esac
done
