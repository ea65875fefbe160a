#!/bin/sh
# Which packages would go if nobody wanted those of a role: unneeded.sh 'PACKAGE…' 'ALONG…'  Changes nothing. One package a line.
#   PACKAGE  installed by the role
#   ALONG    came along with those; what somebody has asked for since stays
# All others stay, with what they depend on: also what apt has installed later because something recommended it. What they themselves
# only recommend or suggest was not there before the role either. What nobody wants anyway is named as well.
# A role can be used alone, so each that needs this has a copy of it; a test compares them.
set -eu
export LC_ALL=C
states=$(mktemp /var/tmp/unneeded.XXXXXX)
trap 'rm -f "$states"' EXIT

as_automatic() {
    [ $# -eq 0 ] || apt-mark -o Dir::State::extended_states="$states" auto "$@" >/dev/null
}
# would_go [OPTION]…: with a failure of apt as its own, which a pipe would lose. Of a kernel that boots apt would keep the headers.
would_go() {
    simulated=$(apt-get --simulate -o Dir::State::extended_states="$states" -o APT::Protect-Kernels=false "$@" autoremove)
    echo "$simulated" | sed -n 's/^Remv \([^ ]*\).*/\1/p'
}

cp /var/lib/apt/extended_states "$states"
# shellcheck disable=SC2086  # lists of packages
as_automatic $1
idle=$(would_go)
along=$(apt-mark showauto | awk -v along=" $2 " 'index(along, " " $0 " ")')
# What is not in it counts as asked for.
: >"$states"
# shellcheck disable=SC2086
as_automatic $1 $along $idle
would_go -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false
