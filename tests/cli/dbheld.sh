#!/bin/bash
# Databases while the helper has them: locks that hold, writers that wait for seconds at most, and a helper that dies.
. "$(dirname "$0")/lib.sh"
db() { "$PYTHON" "$HERE/dbtool.py" "$@"; }
held() { "$PYTHON" "$HERE/dbheld.py" "$@" >"$T/held" 2>&1; }
image() { "$VARVE" cat latest "$1" >"$T/image"; }
init_repo
S=$T/src

# The walker stands still with a database half read: the helper's lock holds, but no longer than 4 s.
fresh() {
	rm -rf "$S"
	mkdir "$S"
	sqlite3 "$S/a" "pragma page_size=4096; pragma journal_mode=$1; create table t(id integer primary key, v blob); insert into t(v) values(zeroblob(50000000)); insert into t(v) values(zeroblob(50000000))" >/dev/null
}
fresh delete
is "rollback mode: a writer waits, but not for long" held "$S" a delete
image "$S/a"
is "rollback mode: what was there before or after is captured" grep -qx "ok [23]" <(db rows "$T/image")
fresh wal
is "WAL: a writer does not wait, nor can it reset the log" held "$S" a wal
image "$S/a"
equal "WAL: captured as it was" "$(db rows "$T/image")" "ok 2"
fresh wal
is "WAL: a log grown beyond the limit lets go" held "$S" a wal --sqlite-wal-limit 64K
image "$S/a"
equal "WAL: and captured as it is then" "$(db rows "$T/image")" "ok 3"

# One that waits for its turn is let go as well.
fresh delete
cp "$S/a" "$S/b"
is "rollback mode, the second of two: a writer waits, but not for long" held "$S" b delete

# Two names of one file: closing one must not drop the other's locks.
fresh wal
ln "$S/a" "$S/b"
is "two names of one file: the lock holds" held "$S" a wal
for name in a b; do
	image "$S/$name"
	is "captured by its name $name" grep -qx "ok [23]" <(db rows "$T/image")
done

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
is "why is said" grep -q "'$S/b'.*unverified: the database helper ended unexpectedly" "$T/held"
must snapshot "$S"
finish
