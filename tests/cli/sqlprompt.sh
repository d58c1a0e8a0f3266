#!/bin/bash
# A prompt that waits keeps nobody waiting: snapshots are forgotten and pruned under it, and it goes on, or says why not.
. "$(dirname "$0")/lib.sh"

if ! command -v script >/dev/null; then
	skip "the prompt" "no script(1)"
	finish
	exit
fi
mkdir "$T/src"
"$PYTHON" "$HERE/mkdb.py" "$T/src/app.db" 4096 wal
noise "$T/src/other" 3000000 prompt
init_repo
snap "$T/src"; first=$(field snapshot)
"$PYTHON" "$HERE/mkdb.py" "$T/src/app.db"
rm "$T/src/other"
snap "$T/src"; second=$(field snapshot)
snap "$T/src"

mkfifo "$T/keys"
# say TEXT WANTED: type a line, wait until the screen shows it.
say() {
	echo "$1" >&9
	for _ in $(seq 100); do ! grep -q -- "$2" "$T/screen" || break; sleep 0.1; done
	is "at the prompt: $1" grep -q -- "$2" "$T/screen"
}
# At its exit the program's status stands on the screen.
script -qc "sh -c '$VARVE sql latest app.db --attach old=$second; echo status \$?'" /dev/null <"$T/keys" >"$T/screen" 2>&1 &
pid=$!
exec 9>"$T/keys"
say 'SELECT 1000 + count(*) FROM users;' 3998
must forget "$first"
run timeout 30 "$VARVE" prune --max-unused 0
exits 0 "prune while a prompt waits"
say "SELECT id + 100000, k FROM users, old.kv WHERE id = 555 AND k = 'key00777';" '100555|key00777'
say 'SELECT * FROM' '\.\.\.>'
say ' nosuch;' 'no such table'
say 'SELECT 70000 + length(group_concat(name)) FROM users;' "$((70000 + $(sqlite3 "$T/src/app.db" 'SELECT length(group_concat(name)) FROM users')))"
must forget "$second"
run timeout 30 "$VARVE" prune
exits 0 "and once more"
say 'SELECT 1;' 'forgotten in the meantime'
for _ in $(seq 50); do ! grep -q '^status' "$T/screen" || break; sleep 0.1; done
is "it ends with exit 1" grep -q '^status 1' "$T/screen"
exec 9>&-
wait $pid || true

# Ctrl-C and the end of the input.
script -qc "sh -c '$VARVE sql latest app.db; echo status \$?'" /dev/null <"$T/keys" >"$T/screen" 2>&1 &
pid=$!
exec 9>"$T/keys"
say 'SELECT 20 + 2;' 22
exec 9>&-
wait $pid || true
is "the end of the input ends it" grep -q 'status 0' "$T/screen"
finish
