#!/bin/sh
# unit.sh UNIT: what systemd reads of a unit; fails where there is none.
exec systemctl cat "$1"
