#!/bin/bash
# A helper that dies while it has databases.
. "$(dirname "$0")/lib.sh"
db() { "$PYTHON" "$HERE/dbtool.py" "$@"; }
held() { "$PYTHON" "$HERE/dbheld.py" "$@" >"$T/held" 2>&1; }
image() { "$VARVE" cat latest "$1" >"$T/image"; }
init_repo
S=$T/src

# The helper is killed: once, another one takes over; always, the databases are stored as found, and it is said.
rm -rf "$S"
mkdir "$S"
db make "$S/a" delete 4096 300
db make "$S/b" wal 4096 300
for times in 1 1000; do
	# It waits for a database that is locked, and so can be found.
	mkfifo "$T/fifo"
	db hold "$S/a" exclusive <"$T/fifo" >"$T/ready" &
	holder=$!
	exec 9>"$T/fifo"
	until [ -s "$T/ready" ]; do sleep 0.02; done
	is "the helper is killed ($times)" held --kill "$times" "$S"
	exec 9>&-
	wait "$holder" || true
	rm -f "$T/fifo" "$T/ready"
	status=$(sed -n 's/^exit //p' "$T/held")
	exits 3 "the helper is killed ($times)"
	is "what is locked is stored as found ($times)" grep -q "'$S/a'.*unverified" "$T/held"
	for name in a b; do
		image "$S/$name"
		is "$name is there ($times)" cmp "$S/$name" "$T/image"
	done
done
# Between two kills a helper may have had the time to take b.
grep "'$S/b'.*unverified" "$T/held" >"$T/why" || true
is "why is said, if it was not captured" sh -c "! grep -v 'unverified: the database helper ended unexpectedly' '$T/why'"
must snapshot "$S"
finish
