#!/bin/sh
# What the role must know of a host before it decides. Changes nothing. One KEY=VALUE a line; a key may come more than once:
#   unowned     a version in /usr/local/cuda-VERSION that no package brought: one of NVIDIA's .run installers
#   link        /usr/local/cuda is a link to this version; `owners` where it is none of a package's
#   runs        the newest CUDA version that the driver says it can run
#   gpu         nvidia-smi lists a GPU: its driver works
#   named       the repository of the first argument is known to apt, from this file
#   line        what apt's sources lack of the distribution's own components: look.sh URL RELEASE COMPONENT…
set -u
export LC_ALL=C PATH="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin:$PATH"
repository=$1 release=$2
shift 2

owned() {
    dpkg-query --search "$1" >/dev/null 2>&1 || rpm --query --file "$1" >/dev/null 2>&1
}

# cuda-13 without a dot is a link to one of these.
for compiler in /usr/local/cuda-*.*/bin/nvcc; do
    [ -x "$compiler" ] || continue
    version=${compiler#/usr/local/cuda-}
    owned "$(readlink -f "$compiler")" || echo "unowned=${version%/bin/nvcc}"
done
link=$(readlink -f /usr/local/cuda)
case $link in
    /usr/local/cuda) [ ! -e /usr/local/cuda ] || echo link=owners ;;
    *) echo "link=${link#/usr/local/cuda-}" ;;
esac

! nvidia-smi -L 2>/dev/null | grep -q '^GPU ' || echo gpu=yes
# Its element has a new name from driver 610 on.
nvidia-smi -q -x 2>/dev/null | sed -nE 's/.*<cuda(_umd)?_version>([0-9]+\.[0-9]+).*/runs=\2/p' | head -n 1

grep -lsE "^[^#]*$repository(/| |\$)" /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources \
    /etc/yum.repos.d/*.repo | sed 's/^/named=/'
[ -d /etc/apt ] || exit 0

# Each entry of apt's sources, in both of its formats, as URIS|SUITES|OPTIONS|COMPONENTS.
entries() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        sed -nE 's/^deb[[:space:]]+(\[([^]]*)\][[:space:]]+)?([^[:space:]]+)[[:space:]]+([^[:space:]]+)[[:space:]]*(.*)$/\3|\4|\2|\5/p'
    for file in /etc/apt/sources.list.d/*.sources; do
        [ ! -f "$file" ] || awk -v RS= -F '\n' '
            {
                split("", field)
                for (i = 1; i <= NF; i++)
                    if (match($i, /^[A-Za-z-]+:[ \t]*/)) {
                        name = tolower($i)
                        sub(/:.*/, "", name)
                        field[name] = substr($i, RLENGTH + 1)
                    }
                if (tolower(field["enabled"]) != "no" && field["types"] ~ /deb( |$)/) {
                    options = field["signed-by"] == "" ? "" : "signed-by=" field["signed-by"]
                    print field["uris"] "|" field["suites"] "|" options "|" field["components"]
                }
            }' "$file"
    done
}
# Those of the distribution itself have its release and its component main.
entries | sort -u | awk -F '|' -v release="$release" -v wanted="$*" '
    $2 ~ "(^| )" release "(-updates|-security)?( |$)" {
        had = had " " $4 " "
        if ($4 ~ /(^| )main( |$)/)
            own[++owns] = $0
    }
    END {
        count = split(wanted, names, " ")
        for (i = 1; i <= count; i++)
            if (index(had, " " names[i] " ") == 0)
                lacking = lacking " " names[i]
        for (i = 1; lacking != "" && i <= owns; i++) {
            split(own[i], entry, "|")
            uris = split(entry[1], uri, " ")
            suites = split(entry[2], suite, " ")
            for (u = 1; u <= uris; u++)
                for (s = 1; s <= suites; s++)
                    print "line=deb " (entry[3] == "" ? "" : "[" entry[3] "] ") uri[u] " " suite[s] lacking
        }
    }'
