#!/bin/bash
# Drills: databases opened where they lie (verify --databases).
. "$(dirname "$0")/lib.sh"
db() { "$PYTHON" "$HERE/dbtool.py" "$@"; }
# names NAME PATTERN: in the last output.
names() { is "$1" grep -q -- "$2" "$T/out"; }
namesnot() { isnt "$1" grep -q -- "$2" "$T/out"; }
# fill DB ROWS: a table with an index.
fill() {
	sqlite3 "$1" "create table t(id integer primary key, x); create index i on t(x); with recursive c(i) as
		(select 1 union all select i + 1 from c where i < $2) insert into t select i, hex(randomblob(30)) from c"
}
# Bytes of a page (from 1) overwritten, as a disk would do it.
spoil_page() { head -c 200 /dev/zero | tr '\0' '\377' | dd of="$1" bs=1 seek=$((4096 * ($2 - 1))) conv=notrunc status=none; }

S=$T/src
mkdir -p "$S/deep" "$T/tmp"
export TMPDIR=$T/tmp
echo text >"$S/readme"
fill "$S/app.db" 3000
db make "$S/deep/log.db" wal 4096 300
: >"$S/empty.db"
init_repo
snap "$S"

# Sound ones; each different content once.
v verify --databases --json; exits 0 "sound databases"
equal "each is checked" "$(field databases_checked)" 2
equal "none is damaged" "$(field databases_damaged)" 0
cp "$S/app.db" "$S/deep/copy.db"
snap "$S"
v verify --databases --json; equal "a copy, and another snapshot of the same" "$(field databases_checked)" 2
sqlite3 "$S/app.db" "update t set x = 'new' where id = 7"
snap "$S"
v verify --databases --json; equal "a version more" "$(field databases_checked)" 3
v verify --databases latest --json; equal "those of one snapshot" "$(field databases_checked)" 3
v verify --databases; names "text says so" "^3 databases opened and checked by SQLite: 0 damaged"
v verify; namesnot "and nothing unasked" "SQLite"

# One captured while a writer has it, its changes still in the WAL.
mkfifo "$T/fifo"
sqlite3 "$S/deep/log.db" <"$T/fifo" >"$T/ready" 2>&1 &
holder=$!
exec 9>"$T/fifo"
echo "pragma wal_autocheckpoint = 0; create table w(a, b unique); insert into w values (1, 2), (3, 4); select 'ready';" >&9
until grep -q ready "$T/ready"; do sleep 0.02; done
is "it has a WAL" test -s "$S/deep/log.db-wal"
snap "$S"
v verify --databases latest --json; exits 0 "captured with its WAL"
equal "it is among those checked" "$(field databases_checked)" 3
exec 9>&-
wait "$holder"
rm "$T/ready"
before=$(find "$T/tmp" | wc -l)
equal "nothing is written" "$before" 1

# A page that was damaged before the snapshot: in two snapshots, under two names.
mkdir "$S/bad"
fill "$S/bad/one.db" 3000
spoil_page "$S/bad/one.db" 5
cp "$S/bad/one.db" "$S/bad/two.db"
snap "$S"; first=$(field snapshot)
echo more >>"$S/readme"
snap "$S"; second=$(field snapshot)
v verify --json; exits 0 "unasked it is not looked for"
v verify --databases --json; exits 4 "a damaged page"
equal "it counts once" "$(field databases_damaged)" 1
is "paths and snapshots are named" "$PYTHON" - "$T/out" "$S/bad" "$first" "$second" <<'PY'
import json, sys
out, bad, first, second = sys.argv[1:]
d = [v for v in map(json.loads, open(out)) if v["type"] == "damage"]
assert len(d) == 1, d
assert d[0]["reason"].startswith("integrity_check: "), d
assert [f["path"] for f in d[0]["files"]] == [bad + "/one.db", bad + "/two.db"], d
assert all((f["first"], f["last"], f["snapshots"]) == (first, second, 2) for f in d[0]["files"]), d
assert sorted(d[0]["snapshots"]) == sorted([first, second]), d
PY
v verify --databases latest --json; exits 4 "asked for one snapshot"
is "that one is named" "$PYTHON" - "$T/out" "$second" <<'PY'
import json, sys
d = [v for v in map(json.loads, open(sys.argv[1])) if v["type"] == "damage"]
assert [f["first"] for v in d for f in v["files"]] == [sys.argv[2]] * 2, d
assert d[0]["snapshots"] == [sys.argv[2]], d
PY
v verify --databases; exits 4 "as text"
names "path" "needed by: $S/bad/one.db (in 2 snapshots)"
names "snapshots" "snapshots: ${first:0:8} ${second:0:8}"
names "the repository is not to blame" "the repository is intact"
v verify --databases --read --json; exits 4 "with --read"
must list --json; is "what is stored is verified all the same" test "$(grep -c '"verified":null' "$T/out")" = 0
rm -r "$S/bad"

# Stored as found while it was locked: told apart, once.
mkdir "$T/raw"
db make "$T/raw/locked.db" delete 4096 300
db hold "$T/raw/locked.db" exclusive <"$T/fifo" >"$T/ready" &
holder=$!
exec 9>"$T/fifo"
until [ -s "$T/ready" ]; do sleep 0.02; done
v snapshot "$T/raw"; exits 3 "a locked database"
v snapshot "$T/raw"; exits 3 "the same again"
exec 9>&-
wait "$holder" || true
v verify --databases latest --json; exits 0 "it is no damage"
equal "not checked" "$(field databases_checked)" 0
equal "told apart" "$(field databases_raw)" 1
names "with its path" "\"path\":\"$T/raw/locked.db\""
v verify --databases latest 'latest~1'; names "as text" "^not checked: $T/raw/locked.db (snapshot ........): stored as found"

# What its own application brings along, nobody else can judge; what never ends is ended.
mkdir "$T/odd"
"$PYTHON" - "$T/odd/own.db" <<'PY'
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.create_collation("own", lambda a, b: (a > b) - (a < b))
c.executescript("create table t(x collate own); create index i on t(x); insert into t values ('a'), ('b')")
PY
snap "$T/odd"
v verify --databases latest --json; exits 0 "a collation of its own"
equal "is told" "$(field databases_foreign)" 1
"$PYTHON" - "$T/odd/evil.db" "$T/odd/slow.db" "$T" <<'PY'
import sqlite3, sys
evil, slow, t = sys.argv[1:]
sql = {evil: "create table t(x, check (load_extension('%s/code.so') is null))" % t,
       # Its value is x, after a while.
       slow: "create index i on t(x + (length(hex(zeroblob(50000000 + x))) > 0) - 1)"}
for path in sql:
    c = sqlite3.connect(path)
    c.executescript("create table t(x); create index i on t(x); pragma writable_schema = on")
    c.executemany("insert into t values (?)", [(i,) for i in range(2 if path == evil else 5000)])
    c.execute("update sqlite_schema set sql = ? where type = ?", (sql[path], sql[path].split()[1]))
    c.commit()
    c.close()
PY
"${CC:-gcc}" -shared -fPIC -x c -o "$T/code.so" - <<C
#include <stdio.h>
__attribute__((constructor)) static void run(void) { fclose(fopen("$T/ran", "w")); }
C
snap "$T/odd"
begin=$(date +%s)
v verify --databases --timeout 1 latest --json; exits 1 "no end in time"
equal "one" "$(field databases_unproved)" 1
equal "one that names code is looked at" "$(field databases_checked)" 1
names "what had no end is named" "$T/odd/slow.db"
atmost "seconds" $(($(date +%s) - begin)) 60
isnt "no code has run" test -e "$T/ran"
run sqlite3 "$T/odd/evil.db" "pragma integrity_check"
if [ -e "$T/ran" ]; then ok "it would have, in SQLite's shell"; else skip "it would have, in SQLite's shell" "its shell loads none"; fi

# Damage of the repository is told as such.
f=$(find "$T/repo/packs" -type f -printf '%s %p\n' | sort -rn | head -1 | cut -d' ' -f2)
printf '\245\132\245\132' | dd of="$f" bs=1 seek=20000 conv=notrunc status=none
v verify --databases --timeout 1 --json; exits 4 "a damaged pack"
finish
