#!/bin/sh
# Install those of the named Debian packages that are missing; do nothing, and ask nobody, when all are there.
set -eu
command -v dpkg-query >/dev/null || {
	echo "deps: not a Debian system; make sure that you have: $*" >&2
	exit 0
}
missing=
for p in "$@"; do
	case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
	*" installed") ;;
	*) missing="$missing $p" ;;
	esac
done
[ -n "$missing" ] || exit 0
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
