#!/bin/sh
# Which packages nothing else would need if nobody wanted those that are named: unneeded.sh [PACKAGE]…  Changes nothing.
# One package a line: those themselves, unless something that was installed later needs them, and what came along with them.
# What a package of before only recommends or suggests was not there before either.
set -eu
export LC_ALL=C
states=$(mktemp /var/tmp/cuda-toolkit.XXXXXX)
trap 'rm -f "$states"' EXIT
cp /var/lib/apt/extended_states "$states"
[ $# -eq 0 ] || apt-mark -o Dir::State::extended_states="$states" auto "$@" >/dev/null
apt-get --simulate -o Dir::State::extended_states="$states" \
    -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false autoremove |
    sed -n 's/^Remv \([^ ]*\).*/\1/p'
