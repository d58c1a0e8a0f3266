#!/bin/bash
# make demo: varve at work on files and a database that is being written to, or on a directory of yours (make demo DIR=/path).
# Everything happens in a temporary directory, which is removed at the end; DIR is only read.
set -eu -o pipefail
TOP=$(cd "$(dirname "$0")/.." && pwd)
VARVE=${VARVE:-$TOP/varve}
PYTHON=${PYTHON:-/usr/bin/python3}
for name in $(compgen -e | grep '^VARVE_' || true); do unset "$name"; done
dir=
if [ -n "${DIR:-}" ]; then
	[ -d "$DIR" ] || { echo "demo: DIR=$DIR is not a directory" >&2; exit 2; }
	dir=$(cd "$DIR" && pwd)
fi
T=$(mktemp -d "${TMPDIR:-/tmp}/varve-demo-XXXXXX")
writer=
tidy() {
	[ -z "$writer" ] || kill "$writer" 2>/dev/null || true
	cd /
	chmod -R u+rwX "$T" 2>/dev/null || true
	rm -rf -- "$T"
}
trap tidy EXIT
trap 'exit 130' INT TERM

mkdir "$T/bin"
ln -s "$VARVE" "$T/bin/varve"
PATH=$T/bin:$PATH
cd "$T"
export VARVE_REPOSITORY=$T/repo VARVE_KEY_FILE=$T/key VARVE_STATE_DIR=$T/state

say() { # A paragraph of talk.
	echo
	printf '# %s\n' "$@"
}
do_() { # Show a command as one would type it, then run it.
	printf '$ %s\n' "$*"
	eval "$*"
}

say "A repository and its key; without the key nobody reads it, you included."
do_ varve init --key-file key

if [ -n "$dir" ]; then
	quoted=$(printf %q "$dir")
	say "Your directory, read and not changed."
	do_ "varve snapshot $quoted" || [ $? = 3 ]
	say "Once more: what has not changed is not read."
	do_ "varve snapshot $quoted" || [ $? = 3 ]
	do_ varve list
	do_ varve stats
	do_ "varve restore latest:$quoted --target back" || echo "(exit status $?)"
	do_ "diff -r --no-dereference $quoted back && echo 'the same'" ||
		echo "(diff cannot compare fifos, devices and sockets, and files may have changed meanwhile)"
	exit 0
fi

say "An application's directory: notes, a configuration, logs, and a database."
mkdir -p app/notes app/logs
for i in $(seq 1 300); do printf 'note %d\n%s\n' "$i" "$(seq -s ' ' "$i" $((i + 200)))" >"app/notes/$i.md"; done
seq -f 'line %g of a log that grows' 1 60000 >app/logs/app.log
printf 'port = 8080\n' >app/app.conf
"$PYTHON" - app/app.db <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA journal_mode=WAL")
db.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, at REAL, body TEXT)")
db.executemany("INSERT INTO event (at, body) VALUES (?, ?)", ((i / 7, "event %d " % i * 20) for i in range(20000)))
db.commit()
db.close()
PY
do_ "du -sh app && find app -type f | wc -l"

say "A writer keeps the database open and commits all the time."
"$PYTHON" - app/app.db >writer.log 2>&1 <<'PY' &
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
n = 0
while True:
    db.execute("INSERT INTO event (at, body) VALUES (?, ?)", (time.time(), "live event %d" % n))
    db.commit()
    n += 1
    time.sleep(0.02)
PY
writer=$!
sleep 0.5

say "First snapshot, while it is being written to.  The database is captured in one read transaction: as it was after some" \
	"commit, the writer not stopped, its files not touched."
do_ "varve snapshot app --tag first"

say "Work goes on: a note is edited, one is deleted, one is new."
do_ "echo 'an afterthought' >>app/notes/7.md; rm app/notes/8.md; echo new >app/notes/new.md"
do_ "varve snapshot app --tag second"
do_ varve list
do_ varve stats

say "What is different?  Which snapshots have it?  What did it say?"
do_ varve diff latest~1 latest
do_ "varve find '8.md'"
do_ "varve cat latest~1 '$T/app/notes/8.md' | head -n 1"
do_ "varve sql latest~1 app.db 'SELECT count(*) FROM event'; varve sql latest app.db 'SELECT count(*) FROM event'"

say "The writer stops; a third snapshot of the directory at rest, and all of it back.  The database comes back as one file," \
	"its WAL folded in: every row, and sound."
kill "$writer"
wait "$writer" 2>/dev/null || true
writer=
do_ varve snapshot app --tag rest
do_ "varve restore 'latest:$T/app' --target back --check-databases"
do_ "diff -r --exclude 'app.db*' app back && echo 'the same, byte for byte'"
do_ "sqlite3 app/app.db .dump >app.sql; sqlite3 back/app.db .dump | cmp - app.sql && echo 'the same rows'"

say "Restored over itself: what is right is not written again."
do_ "echo broken >back/app.conf"
do_ "varve restore 'latest:$T/app' --target back"
do_ "diff -r --exclude 'app.db*' app back && echo 'the same again'"

say "A second program, written from SPEC.md alone, reads the same repository, proves every byte of it, and restores it."
do_ "$PYTHON '$TOP/tools/reader.py' repo --key-file key check"
do_ "$PYTHON '$TOP/tools/reader.py' repo --key-file key restore latest other"
do_ "diff -r back 'other$T/app' && echo 'the same'"

say "Done; the temporary directory goes away."
