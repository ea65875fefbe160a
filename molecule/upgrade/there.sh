#!/bin/sh
# Prints what is on a host: packages, accounts, units, and paths where this project or a package of its might leave something.
# What lies inside a release's own folder is left out.
set -eu
dpkg-query -W -f 'package ${Package}\n'
getent passwd | cut -d: -f1 | sed 's/^/account /' | sort
systemctl list-unit-files --no-legend --plain | awk '{print "unit", $1, $2}'
find /etc /usr/local /srv /var/lib/inhouse /var/lib/ollama /var/lib/open-webui /opt/inhouse \
    \( -path '/opt/inhouse/*/*/*' -o -path '/var/lib/*/*/*' -o -path '/var/lib/ollama/models/*' \) -prune -o -print |
    sed 's/^/path /' | sort
