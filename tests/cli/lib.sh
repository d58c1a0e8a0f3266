# Sourced by every script: TAP output, a work directory $T, and a repository in $T/repo opened with the key file $T/key.
# A script ends with `finish`; one that stops before is a failure.
# shellcheck shell=bash
set -eu -o pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$HERE/../.." && pwd)
VARVE=${VARVE:-$TOP/varve}
PYTHON=${PYTHON:-/usr/bin/python3}
T=$(mktemp -d "${TMPDIR:-/tmp}/varve-cli-XXXXXX")
for name in $(compgen -e | grep '^VARVE_' || true); do unset "$name"; done
export VARVE VARVE_REPOSITORY=$T/repo VARVE_KEY_FILE=$T/key
export VARVE_STATE_DIR=         # nothing is remembered: scripts put older copies back
umask 022
count=0 failures=0 status=0 finished=

leave() {
	local rc=$?
	if [ -z "$finished" ]; then
		count=$((count + 1))
		echo "not ok $count - the script reaches its end (stopped with $rc)"
		show
		echo "1..$count"
		rc=1
	fi
	cd /
	rm -rf -- "$T" 2>/dev/null || { chmod -R u+rwX "$T" && rm -rf -- "$T"; }
	exit "$rc"
}
trap leave EXIT
trap 'exit 130' INT TERM

finish() {
	finished=1
	echo "1..$count"
	[ "$failures" = 0 ]
}

# What the last command said, as comments.
show() {
	local f
	for f in out err; do
		[ ! -s "$T/$f" ] || head -c 3000 "$T/$f" | cat -v | sed "s/^/# $f: /"
	done
}

ok() {
	count=$((count + 1))
	echo "ok $count - $1"
}

notok() {
	count=$((count + 1))
	failures=$((failures + 1))
	echo "not ok $count - $1"
	show
}

skip() {
	count=$((count + 1))
	echo "ok $count - $1 # SKIP $2"
}

# is NAME COMMAND...: the command (a test, a comparison) succeeds.
is() {
	local name=$1
	shift
	if "$@" >"$T/is.out" 2>&1; then
		ok "$name"
	else
		notok "$name"
		head -n 30 "$T/is.out" | cat -v | sed 's/^/# /'
	fi
}

isnt() {
	local name=$1
	shift
	if "$@" >/dev/null 2>&1; then notok "$name"; else ok "$name"; fi
}

# equal NAME GOT WANTED
equal() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		notok "$1"
		printf '# got    %s\n# wanted %s\n' "$2" "$3" | cat -v
	fi
}

# atmost NAME GOT LIMIT (whole numbers)
atmost() {
	if [ "$2" -le "$3" ]; then
		ok "$1 ($2 <= $3)"
	else
		notok "$1"
		echo "# got $2, at most $3"
	fi
}

# run COMMAND...: keeps stdout, stderr and exit status in $T/out, $T/err, $status.
run() {
	status=0
	"$@" >"$T/out" 2>"$T/err" </dev/null || status=$?
}

# v ARGUMENT...: varve, kept like run.
v() { run "$VARVE" "$@"; }

# exits WANTED NAME: of the last run.
exits() { equal "$2: exit $1" "$status" "$1"; }

# must ARGUMENT...: varve has to succeed, or the script ends.
must() {
	v "$@"
	[ "$status" = 0 ] || { notok "varve $*: exit $status"; exit 1; }
}

init_repo() { must init --key-file "$VARVE_KEY_FILE"; }

# field KEY: of the last JSON object in the last output (dots descend).
field() {
	"$PYTHON" - "$1" "$T/out" <<'PY'
import json, sys
lines = [l for l in open(sys.argv[2], encoding="utf-8", errors="surrogateescape") if l.strip()]
v = json.loads(lines[-1])
for k in sys.argv[1].split("."):
    v = v[k]
print(v if isinstance(v, str) else json.dumps(v))
PY
}

# snap ARGUMENT...: a snapshot that must succeed, its summary in the last output.
snap() { must snapshot --json "$@"; }

# Bytes of all files of the repository, by their lengths.
repo_bytes() { find "${1:-$VARVE_REPOSITORY}" -type f -printf '%s\n' | awk '{s += $1} END {print s + 0}'; }

# Everything in a tree that a restore must bring back, one line each; enough for ordinary trees.
listing() {
	(cd "$1" && find . -printf '%P|%y|%m|%U|%G|%T@|%l|%n\n' | LC_ALL=C sort)
}

same_tree() {
	diff -r --no-dereference "$1" "$2" || return 1
	diff <(listing "$1") <(listing "$2")
}

# noise FILE BYTES SEED: bytes that do not compress, the same for the same seed.
noise() {
	"$PYTHON" - "$@" <<'PY'
import hashlib, sys
path, size, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with open(path, "wb") as f:
    i = 0
    while size > 0:
        n = min(size, 1 << 20)
        f.write(hashlib.shake_128(("%s/%d" % (seed, i)).encode()).digest(n))
        size, i = size - n, i + 1
PY
}

is_root() { [ "$(id -u)" = 0 ]; }
