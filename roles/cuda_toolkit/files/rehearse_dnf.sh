#!/bin/sh
# What dnf would do, found out with a cache of its own; nothing of the host changes.
#   rehearse_dnf.sh URL NAME MAXIMUM [PACKAGE]…
# URL is NVIDIA's repository; versions are those of the packages NAME-X-Y, and with no PACKAGE the newest that is not above
# MAXIMUM ('' for any) is taken. Prints the same lines as rehearse.sh.
set -u
export LC_ALL=C
url=$1 name=$2 maximum=$3
shift 3
folder=$(mktemp -d /var/tmp/cuda-toolkit.XXXXXX)
trap 'rm -rf "$folder"' EXIT

ask() {
    dnf --quiet --setopt=cachedir="$folder" --setopt=install_weak_deps=False --nogpgcheck \
        --repofrompath="cuda-rehearsal,$url" "$@" 2>"$folder/said"
}
fail() {
    echo "failed=$(tr -s '\n ' ' ' <"$folder/said")"
    exit 0
}

ask --repo=cuda-rehearsal repoquery --qf '%{name}\n' "$name-*" >"$folder/names" || fail
versions=$(sed -nE "s/^$name-([0-9]+)-([0-9]+)\$/\1.\2/p" "$folder/names" | sort -uV)
for version in $versions; do
    echo "there=$version"
done
if [ $# -eq 0 ]; then
    chosen=''
    for version in $versions; do
        [ -n "$maximum" ] && [ "$(printf '%s\n' "$version" "$maximum" | sort -V | tail -n 1)" != "$maximum" ] || chosen=$version
    done
    [ -n "$chosen" ] || { echo "no version of CUDA up to ${maximum:-any}" >"$folder/said"; fail; }
    set -- "$name-$(echo "$chosen" | tr . -)"
fi
for package in "$@"; do
    ask repoquery --latest-limit=1 --qf "candidate=$package %{version}\n" "$package"
done
# It says no to its own question, which counts as a failure.
ask --assumeno install "$@" >"$folder/plan"
grep -q '^Transaction Summary' "$folder/plan" || fail
awk '/^Installing/ { on = 1; next } /^[^ ]/ { on = 0 } on { print "new=" $1 }' "$folder/plan"
awk -v free="$(df -B 1000000 --output=avail /usr | tail -n 1)" '
    function megabytes(number, unit) {
        return int(number * (unit == "G" ? 1074 : unit == "M" ? 1.05 : 0.001) + 1)
    }
    /^Total download size:|^Installed size:/ { need += megabytes($(NF - 1), $NF) }
    END { if (need > free + 0) print "short=/usr " need, free + 0 }' "$folder/plan"
