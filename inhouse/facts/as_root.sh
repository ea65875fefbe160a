#!/bin/sh
# Runs the script that comes on standard input, as root if so told, with the given arguments.
#
# Usage: sh as_root.sh MODE ARGUMENT…     (the script, or the password's line and then the script, on standard input)
#   plain          as whoever is logged in
#   sudo           as root, by a sudo that asks for no password
#   sudo-password  as root; the first line of standard input is the password, should sudo ask for one
#
# The password is in no argument and in no environment: other users of the host could read those.

LC_ALL=C
export LC_ALL

mode=$1
shift
if [ "$mode" = sudo-password ]; then
    IFS= read -r password
fi
if [ "$mode" = plain ] || [ "$(id -u)" -eq 0 ]; then
    exec sh -s -- "$@"
fi
if ! command -v sudo >/dev/null; then
    echo 'sudo: command not found' >&2
    exit 127
fi
# -k: a password given a minute ago does not count, so that each call meets the same sudo.
if [ "$mode" = sudo ] || sudo -k -n sh -c : </dev/null 2>/dev/null; then
    exec sudo -k -n sh -s -- "$@"
fi
# Tried alone first: a wrong password then costs one attempt, and sudo cannot take the script's lines for further
# ones and have the account locked.
printf '%s\n' "$password" | sudo -k -S -p '' sh -c : || exit 1
{
    printf '%s\n' "$password"
    exec cat
} | sudo -k -S -p '' sh -s -- "$@"
