#!/bin/sh
# active.sh UNIT...: those of the units that run, one a line, by the names they were given. Of any kind: a unit that only has something
# started (containers of a compose file) counts, and one that waits to be started again.
for unit; do
    case $(systemctl show --property ActiveState --value -- "$unit") in
        active | activating | reloading) echo "$unit" ;;
    esac
done
