#!/bin/bash
# Directories are looked at before the walk comes to them: what was replaced meanwhile is stored as it is then, not as it was.
. "$(dirname "$0")/lib.sh"

# Start a snapshot of $T/src and hold it while it reads the long file; what it was told to change is changed then.
held() {
	"$VARVE" snapshot "$T/src" >"$T/out" 2>"$T/err" &
	local pid=$!
	for _ in $(seq 1000); do
		ls -l "/proc/$pid/fd" 2>/dev/null | grep -q long && break
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.01
	done
	sleep 0.05
	kill -STOP "$pid" 2>/dev/null || true
	"$@"
	kill -CONT "$pid" 2>/dev/null || true
	status=0
	wait "$pid" || status=$?
}

database() {
	"$PYTHON" - "$T/src/b/x.db" <<'PY'
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("pragma journal_mode = wal")
c.execute("create table t (a)")
for i in range(100):
    c.execute("insert into t values (?)", (i,))
os._exit(0)                             # the rows stay in the WAL
PY
}
mkdir -p "$T/src/a" "$T/src/b"
noise "$T/src/a/long" 60000000 long
: >"$T/src/b/x.db"
init_repo
held database
exits 0 "a database is made while a file before it is read"
must restore "latest:$T/src" --target "$T/one"
rows=$(sqlite3 "$T/one/b/x.db" 'select count(*) from t' 2>/dev/null || true)
is "its rows are there, or it was made too late" test "$rows" = 100 -o ! -s "$T/one/b/x.db"

replace() {
	rm -r "$T/src/d35"
	mv "$T/new" "$T/src/d35"
}
for i in $(seq 10 39); do mkdir "$T/src/d$i" && echo public >"$T/src/d$i/f"; done
mkdir -m 700 "$T/new"
echo secret >"$T/new/f"
noise "$T/src/a/long" 60000000 longer
held replace
exits 0 "a directory is replaced by another one"
must restore "latest:$T/src" --target "$T/two"
equal "what it holds has the mode that it had" "$(cat "$T/two/d35/f") $(stat -c %a "$T/two/d35")" "secret 700"

# Few descriptors are enough for what is looked at ahead.
p=$T/src
for l in 1 2 3 4 5 6; do
	for i in $(seq 10 29); do mkdir "$p/x$i" && echo "$l" >"$p/x$i/f"; done
	p=$p/x10
done
run bash -c 'ulimit -n 64; exec "$@"' sh "$VARVE" snapshot "$T/src"
exits 0 "with 64 descriptors"
finish
