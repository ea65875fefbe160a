#!/bin/sh
# Prints what is on a host: packages, accounts, units, and paths where this project or a package of its might leave something.
# What lies inside a release's own folder is left out; of others' data only whose it is is told.
set -eu
dpkg-query -W -f 'package ${Package}\n'
getent passwd | cut -d: -f1 | sed 's/^/account /' | sort
systemctl list-unit-files --no-legend --plain | awk '{print "unit", $1, $2}'
find /etc /usr/local /srv /opt/inhouse /var/lib \
    \( -path '/opt/inhouse/*/*/*' -o -path '/var/lib/*/*' ! -path '/var/lib/inhouse/*' \) -prune -o -print |
    sed 's/^/path /' | sort
