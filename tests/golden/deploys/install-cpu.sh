# Fetches one release of Ollama, checks it and unpacks it beside the running one. Run by `sh -s`, as root.
set -eu
umask 022

url=https://mirror.example.internal/v0.34.4/ollama-linux-amd64.tar.zst
expected=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
version=0.34.4
prefix=/opt/inhouse/ollama
staging=/opt/inhouse/staging
archive=$staging/ollama-aaaaaaaaaaaaaaaa.tar.zst
new=$prefix/.unpacking-$version

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

only_one() {
	install -d -m 0700 "$staging"
	exec 9>"$staging/lock"
	flock -n 9 || fail "Another run is fetching Ollama on this host. Wait until it has ended, then run again."
}

whole() { [ -f "$archive" ] && [ "$(sha256sum <"$archive" | cut -c1-64)" = "$expected" ]; }

size_mib() { if [ -f "$archive" ]; then echo $(($(stat -c %s "$archive") / 1048576)); else echo 0; fi; }

# curl goes on where the last try ended. Progress is a line every three seconds; when nobody reads it any more
# (the controller was interrupted), writing it fails and curl is stopped.
transfer() {
	curl --fail --location --silent --show-error --proto '=https' --connect-timeout 20 \
		--speed-limit 1000 --speed-time 60 --continue-at - --output "$archive" "$url" 2>"$staging/curl.err" &
	curl=$!
	trap 'kill "$curl" 2>/dev/null; exit 1' HUP INT PIPE TERM
	shown=0
	while kill -0 "$curl" 2>/dev/null; do
		sleep 0.5
		shown=$((shown + 1))
		[ $((shown % 6)) -ne 0 ] || say "Ollama $version: $(size_mib) MiB fetched"
	done
	trap - HUP INT PIPE TERM
	wait "$curl"
}

fetch() {
	tries=0
	while :; do
		code=0
		transfer || code=$?
		case $code in
		0) return ;;
		33 | 36) rm -f "$archive" ;; # the mirror cannot resume: from the start
		22 | 60 | 77) break ;;       # asking again gives the same answer
		esac
		tries=$((tries + 1))
		[ $tries -lt 4 ] || break
		say "Ollama $version: transfer broken off at $(size_mib) MiB ($(cat "$staging/curl.err")); going on"
		sleep 2
	done
	explain "$code"
}

explain() {
	reason=$(cat "$staging/curl.err")
	case $1:$reason in
	60:*expired* | 60:*"not yet valid"*) fail "$reason
Found: by this host's clock ($(date -u '+%Y-%m-%d %H:%M') UTC) the certificate of $url is not valid. Needed: the right time.
Run there: timedatectl set-ntp true; timedatectl" ;;
	60:* | 77:*) fail "$reason
Found: the certificate of $url is signed by a CA this host does not know; a network that inspects TLS does that.
Needed: that CA's certificate (PEM) as /usr/local/share/ca-certificates/NAME.crt on this host.
Run there: update-ca-certificates" ;;
	22:*) fail "$reason
Found: $url is refused. Needed: a release archive at that address. Check ollama_version and ollama_mirror." ;;
	*) fail "$reason
Found: $url cannot be fetched; $(size_mib) MiB are kept. Needed: a connection to that host. Run again to go on from there." ;;
	esac
}

check() {
	whole && return
	found=$(sha256sum <"$archive" | cut -c1-64)
	rm -f "$archive"
	fail "Wrong checksum: the file from $url is not the planned release; it was removed and nothing was replaced.
Found:    $found
Expected: $expected
If the mirror carries its own build, set ollama_archive_sha256 to its sum; otherwise do not trust this mirror."
}

unpack() {
	rm -rf "$new"
	mkdir -p "$new"
	tar --extract --file="$archive" --use-compress-program=zstd --directory="$new" --no-same-owner \
--exclude='lib/ollama/cuda_v12' --exclude='lib/ollama/cuda_v13' || { rm -rf "$new"; fail "The release could not be unpacked (above: why)."; }
	[ -x "$new/bin/ollama" ] || { rm -rf "$new"; fail "The archive of $url has no bin/ollama."; }
	printf '%s\n' '{"sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "without": ["lib/ollama/cuda_v12", "lib/ollama/cuda_v13"]}' >"$new/.inhouse"
	sync --file-system "$new/.inhouse"
}

# The old folder of the same version goes only when the new one is in its place.
swap() {
	rm -rf "$prefix/$version~old"
	[ ! -e "$prefix/$version" ] || mv -T "$prefix/$version" "$prefix/$version~old"
	mv -T "$new" "$prefix/$version"
	rm -rf "$prefix/$version~old" "$archive"
}

main() {
	only_one
	whole || fetch
	say "Ollama $version: checking and unpacking $(size_mib) MiB"
	check
	unpack
	swap
}

main </dev/null
