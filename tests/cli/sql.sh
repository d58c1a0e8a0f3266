#!/bin/bash
# varve sql: databases inside of snapshots give what the sqlite3 shell gives on the restored files.
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/src/sub"
for size in 512 4096 65536; do
	"$PYTHON" "$HERE/mkdb.py" "$T/src/p$size.db" "$size" "$([ $size = 4096 ] && echo wal || echo delete)"
done
cp "$T/src/p4096.db" "$T/src/app.db"
cp "$T/src/p512.db" "$T/src/twice.db"; cp "$T/src/p512.db" "$T/src/sub/twice.db"
: >"$T/src/empty.db"
echo 'SQLite format 2, or not a database at all' >"$T/src/text.db"
head -c 3000 "$T/src/p512.db" >"$T/src/cut.db"
init_repo
snap --time 2026-03-01T00:00:00Z "$T/src"
"$PYTHON" "$HERE/mkdb.py" "$T/src/app.db"
snap --time 2026-03-02T00:00:00Z "$T/src"
must restore "latest:$T/src" --target "$T/new"
must restore "latest~1:$T/src" --target "$T/old"
is "the header says WAL" [ "$(od -An -tu1 -j18 -N1 "$T/new/p4096.db" | tr -d ' ')" = 2 ]

# same NAME DB QUERY: in list mode.
same() {
	local want
	want=$(sqlite3 "$T/new/$2" "$3")
	must sql latest "$T/src/$2" "$3"
	equal "$1" "$(cat "$T/out")" "$want"
}
for size in 512 4096 65536; do
	same "primary key, pages of $size" "p$size.db" 'SELECT * FROM users WHERE id = 1234'
	same "WITHOUT ROWID, pages of $size" "p$size.db" "SELECT v FROM kv WHERE k = 'key01000'"
	same "full text, pages of $size" "p$size.db" \
		"SELECT rowid FROM notes WHERE notes MATCH 'silt AND \"thin dark\"' ORDER BY rank, rowid"
	same "rtree, pages of $size" "p$size.db" 'SELECT id FROM boxes WHERE x0 > 17 AND x1 < 33'
	same "a view, pages of $size" "p$size.db" 'SELECT * FROM best'
	same "everything, pages of $size" "p$size.db" 'SELECT id, name, score, hex(data) FROM users'
	same "integrity, pages of $size" "p$size.db" 'PRAGMA integrity_check'
done
same "sorting in memory" app.db 'SELECT name, count(*) FROM users GROUP BY name ORDER BY 2 DESC, 1'
same "an empty database" empty.db 'SELECT count(*) FROM sqlite_master'
must sql latest "$T/src/empty.db" .tables; equal "no tables" "$(cat "$T/out")" ""

# Modes.
Q="SELECT id, name AS \"a b\", score, NULL AS n, 'it''s; \"q\"' AS q, '' AS e FROM users WHERE id < 9"
for mode in json csv box list; do
	sqlite3 "-$mode" "$T/new/app.db" "$Q" >"$T/want"
	case $mode in
	list) must sql latest app.db "$Q" ;;
	json) must sql latest app.db "SELECT id, name AS \"a b\", NULL AS n, 0.5 AS h, 'x
y' AS \"\"\"q\" FROM users WHERE id < 9" --json
		sqlite3 -json "$T/new/app.db" "SELECT id, name AS \"a b\", NULL AS n, 0.5 AS h, 'x
y' AS \"\"\"q\" FROM users WHERE id < 9" >"$T/want" ;;
	*) must sql latest app.db "$Q" "--$mode" ;;
	esac
	is "as the shell: $mode" cmp "$T/out" "$T/want"
done
sqlite3 -csv -header "$T/new/app.db" "$Q" >"$T/want"
must sql latest app.db --csv --header "$Q"; is "csv with a header" cmp "$T/out" "$T/want"
sqlite3 -header -separator ' ; ' "$T/new/app.db" "$Q" >"$T/want"
must sql latest app.db --header --separator ' ; ' "$Q"; is "a separator" cmp "$T/out" "$T/want"
must sql latest app.db --json "SELECT x'ff41' AS b"
equal "bytes in JSON" "$("$PYTHON" -c 'import json,sys; print(json.load(sys.stdin)[0]["b_b64"])' <"$T/out")" "/0E="
must sql latest app.db --json 'SELECT 1 WHERE 0'; equal "no rows, no array" "$(cat "$T/out")" ""
v sql latest app.db --json --csv 'SELECT 1'; exits 2 "two modes"

# A lost row goes back where it was.
must sql latest~1 app.db 'SELECT * FROM users WHERE id = 7' --insert users
cp "$T/new/app.db" "$T/work.db"
is "the rows are statements" sqlite3 "$T/work.db" ".read $T/out"
R='SELECT id, name, score, quote(data) FROM users WHERE id = 7'
equal "the row is back" "$(sqlite3 "$T/work.db" "$R")" "$(sqlite3 "$T/old/app.db" "$R")"

for table in users kv; do
	must sql latest app.db --attach old=latest~1 ".dump old.$table"
	rm -f "$T/dump.db"
	is "a dump is read" sqlite3 "$T/dump.db" ".read $T/out"
	equal "the same rows: $table" "$(sqlite3 "$T/dump.db" "SELECT * FROM $table")" "$(sqlite3 "$T/old/app.db" "SELECT * FROM $table")"
	equal "the same definition: $table" "$(sqlite3 "$T/dump.db" .schema)" "$(sqlite3 "$T/old/app.db" ".schema $table")"
done
v sql latest app.db '.dump nothing'; exits 1 ".dump of no table"
v sql latest app.db .dump; exits 2 ".dump of everything"

# Two days in one question.
E1='SELECT * FROM old.kv EXCEPT SELECT * FROM main.kv ORDER BY 1'
E2='SELECT n.id, o.name FROM users AS n JOIN old.users AS o USING(id) WHERE n.name IS NOT o.name'
for q in "$E1" "$E2" "SELECT count(*) FROM old.notes WHERE notes MATCH 'moraine'"; do
	want=$(sqlite3 "$T/new/app.db" "ATTACH '$T/old/app.db' AS old" "$q")
	must sql latest app.db --attach old=latest~1 "$q"
	equal "two days: $q" "$(cat "$T/out")" "$want"
done
must sql latest app.db --attach "a=latest~1:$T/src/p512.db" --attach b=@2026-03-01:p65536.db \
	'SELECT count(*) FROM a.users, b.tags WHERE id = 1 AND n = 1'
equal "other files of other days" "$(cat "$T/out")" 1
must sql latest app.db --attach old=latest~1 '.tables k%'
equal ".tables of both" "$(tr '\n' ' ' <"$T/out")" "kv old.kv "
must sql latest app.db --attach old=latest~1 .databases
equal ".databases" "$(tr '\n' ' ' <"$T/out")" "main old "
must sql latest app.db --attach old=latest~1 '.schema old.gone'
equal ".schema" "$(cat "$T/out")" 'CREATE TABLE gone(x);'
v sql latest app.db --attach old 'SELECT 1'; exits 2 "--attach without a snapshot"
v sql latest app.db --attach main=latest~1 'SELECT 1'; exits 1 "--attach under a name in use"

# Where the database is.
must sql "latest:$T/src/app.db" 'SELECT 1'; equal "SNAP:PATH" "$(cat "$T/out")" 1
must sql "latest:$T/src/sub" twice.db 'SELECT 2'; equal "SNAP:DIR and a name" "$(cat "$T/out")" 2
v sql latest twice.db 'SELECT 1'; exits 2 "a name that two files have"
is "both are told" grep -q "sub/twice.db" "$T/err"
v sql latest nothing.db 'SELECT 1'; exits 1 "no such file"
v sql latest "$T/src" 'SELECT 1'; exits 1 "a directory"
v sql latest; exits 2 "no path"
v sql latest text.db 'SELECT 1'; exits 1 "not a database"
is "that is said" grep -q 'not an SQLite database' "$T/err"
v sql latest cut.db 'SELECT count(*) FROM users'; exits 1 "a database that was cut off"
is "the repository is not blamed" grep -q 'not damaged here' "$T/err"

# From standard input.
printf '.headers on\nSELECT id,\n  name FROM users\n WHERE id=2;\n\n.mode csv\nSELECT 1 AS "x y"' |
	"$VARVE" sql latest app.db >"$T/out"
equal "SQL from a pipe" "$(tr -d '\r' <"$T/out" | tr '\n' '#')" "id|name#2|$(sqlite3 "$T/new/app.db" 'SELECT name FROM users WHERE id=2')#\"x y\"#1#"
run sh -c 'echo "SELECT 1; SELEC 2; SELECT 3;" | "$VARVE" sql latest app.db'
exits 1 "a mistake"; equal "what comes before it was done" "$(cat "$T/out")" 1
run sh -c 'printf ".quit\nSELECT 1;\n" | "$VARVE" sql latest app.db'; equal ".quit" "$(cat "$T/out")" ""
run sh -c '"$VARVE" sql latest app.db "SELECT * FROM users" >/dev/full'; exits 1 "a full stdout"

# Typed in: prune and others are not kept waiting by a prompt.
if command -v script >/dev/null; then
	mkfifo "$T/keys"
	script -qec "$VARVE sql latest app.db" /dev/null <"$T/keys" >"$T/screen" 2>&1 &
	pid=$!
	exec 9>"$T/keys"
	echo 'SELECT 40' >&9
	echo '+ 2;' >&9
	for _ in $(seq 100); do ! grep -q '42' "$T/screen" || break; sleep 0.1; done
	is "an answer at the prompt" grep -q '42' "$T/screen"
	"$PYTHON" - "$T/repo/locks" <<'PY' && ok "an exclusive lock is to be had" || notok "an exclusive lock is to be had"
import fcntl, struct, sys, time
F_OFD_SETLK = 37
f = open(sys.argv[1], "r+b")
for _ in range(50):
    try:
        fcntl.fcntl(f, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0))
        sys.exit(0)
    except OSError:
        time.sleep(0.1)
sys.exit(1)
PY
	snap "$T/src"
	printf 'SELECT count(*) FROM nosuch;\nSELECT count(*) + 0.5 FROM users;\n.quit\n' >&9
	exec 9>&-
	wait $pid || true
	is "a mistake does not end it" grep -q '2998.5' "$T/screen"
else
	skip "the prompt" "no script(1)"
fi

# Nothing but reading.
find "$T/repo" -type f -printf '%p %s %T@\n' | sort >"$T/before"
while read -r statement; do
	v sql latest~1 app.db "$statement"
	exits 1 "$statement"
	isnt "it says why: $statement" grep -q 'syntax error' "$T/err"
done <<'SQL'
INSERT INTO users(name) VALUES('x')
UPDATE users SET name = 'x'
DELETE FROM kv
REPLACE INTO kv VALUES('a', 'b')
INSERT INTO notes(notes) VALUES('optimize')
CREATE TABLE t(a)
CREATE TEMP TABLE t(a)
CREATE VIRTUAL TABLE f USING fts5(x)
DROP TABLE users
ALTER TABLE users RENAME TO people
VACUUM
VACUUM INTO 'copy.db'
ATTACH 'other.db' AS other
ATTACH ':memory:' AS other
DETACH main
REINDEX
ANALYZE
PRAGMA journal_mode = delete
PRAGMA query_only = off
PRAGMA writable_schema = on
PRAGMA temp_store_directory = '/tmp'
PRAGMA mmap_size = 1000000
SELECT load_extension('x')
SELECT fts3_tokenizer('simple')
SELECT * FROM dbstat, nosuchtable
SQL
is "the message names a way" sh -c '"$VARVE" sql latest app.db "DELETE FROM kv" 2>&1 | grep -q "varve cat"'
find "$T/repo" -type f -printf '%p %s %T@\n' | sort >"$T/after"
is "nothing was written" cmp "$T/before" "$T/after"
equal "nothing beside the tests was made" "$(ls "$T/copy.db" "$T/other.db" copy.db other.db 2>/dev/null)" ""

# Bounds.
v sql latest app.db --timeout 1 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c'
exits 1 "--timeout"; is "it says so" grep -q 'no end after 1 s' "$T/err"
v sql latest app.db --memory 16M "SELECT a.name || b.name FROM users a, users b ORDER BY 1"
exits 1 "--memory"; is "it says so" grep -q '16 MiB' "$T/err"
"$VARVE" sql latest app.db 'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c' 2>/dev/null &
pid=$!
sleep 0.5; kill -TERM $pid; status=0; wait $pid || status=$?
exits 130 "a signal ends a statement"

# A hostile database: a b-tree of 17 levels whose pages all name the next one 80 times, a schema that is not what it should be,
# names that do something to terminals.
mkdir "$T/src/bad"
"$PYTHON" - "$T/src/bad" <<'PY'
import os, random, sqlite3, struct, sys
def fresh(name, *statements):
    path = os.path.join(sys.argv[1], name)
    db = sqlite3.connect(path)
    db.execute("PRAGMA page_size = 512")
    for s in statements:
        db.execute(s)
    db.commit()
    return path, db
path, db = fresh("bomb.db", "CREATE TABLE t(a)", "INSERT INTO t VALUES(zeroblob(20000))")
root = db.execute("SELECT rootpage FROM sqlite_master").fetchone()[0]
db.close()
raw = bytearray(open(path, "rb").read())
for level in range(17):
    page = root + level
    cell = struct.pack(">IB", page + 1, 1)
    body = struct.pack(">BHHHBI", 5, 0, 80, 512 - len(cell), 0, page + 1) + struct.pack(">H", 512 - len(cell)) * 80
    raw[(page - 1) * 512:page * 512] = body.ljust(512 - len(cell), b"\0") + cell
leaf = root + 17
raw[(leaf - 1) * 512:leaf * 512] = struct.pack(">BHHHB", 13, 0, 1, 500, 0) + struct.pack(">H", 500) + b"\0" * 490 + b"\x03\x01\x02\x01\x07" + b"\0" * 7
open(path, "wb").write(raw)
path, db = fresh("names.db", 'CREATE TABLE "\x1b]0;owned\x07 t"(a)', "CREATE VIEW again AS WITH RECURSIVE c(x) AS "
    "(SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c")
path, db = fresh("schema.db", "CREATE TABLE t(a)", "PRAGMA writable_schema = on",
    "UPDATE sqlite_master SET sql = 'CREATE TABLE t(a, b AS (load_extension(a)))'")
r = random.Random(4)
for i in range(20):
    path, db = fresh("noise%02d.db" % i, "CREATE TABLE t(a PRIMARY KEY, b)", "CREATE VIRTUAL TABLE f USING fts5(x)",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 300) INSERT INTO t SELECT x, hex(x) FROM c",
        "INSERT INTO f SELECT b || ' ' || a FROM t")
    db.close()
    raw = bytearray(open(path, "rb").read())
    for _ in range(40):
        raw[r.randrange(100, len(raw))] = r.choice([0, 1, 5, 13, 127, 128, 255, r.randrange(256)])
    open(path, "wb").write(raw)
PY
snap "$T/src/bad"
v sql latest bomb.db --timeout 1 'SELECT count(*) FROM t'; exits 1 "a tree without end"
is "--timeout ended it" grep -q 'no end after 1 s' "$T/err"
v sql latest names.db --timeout 1 'SELECT * FROM again'; exits 1 "a view without end"
v sql latest schema.db 'SELECT * FROM t'; exits 1 "a schema that calls load_extension"
if command -v script >/dev/null; then
	script -qec "$VARVE sql latest names.db .tables" /dev/null </dev/null >"$T/screen" 2>&1
	is "a name on a terminal" grep -qF '\x1b]0;owned\x07' "$T/screen"
fi
worst=0
for i in $(seq 10 29); do
	for q in 'PRAGMA integrity_check' 'SELECT count(*), sum(length(a)), sum(length(b)) FROM t' "SELECT * FROM f WHERE f MATCH '33*'"; do
		v sql latest "noise${i/#?/$((i / 10 - 1))}.db" --timeout 5 "$q"
		[ "$status" -le "$worst" ] || worst=$status
	done
done
atmost "random damage ends with an answer or exit 1" "$worst" 1
for f in "$T/src/bad"/*.db; do printf '\1' | dd of="$f" bs=1 seek=700 conv=notrunc status=none; done
snap "$T/src/bad"
run timeout --preserve-status 2 "$VARVE" diff --databases "latest~1:$T/src/bad/bomb.db" latest
exits 130 "a signal ends a diff of trees without end"
worst=0
for f in "$T/src/bad"/*.db; do
	[ "${f##*/}" != bomb.db ] || continue
	v diff --databases "latest~1:$f" latest
	[ "$status" -le "$worst" ] || worst=$status
done
atmost "a diff of such databases ends with an answer or exit 1" "$worst" 1

# A file that a crash has left beside the database.
cp "$T/src/p512.db" "$T/src/sub/left.db"; echo something >"$T/src/sub/left.db-wal"
snap --no-sqlite "$T/src/sub"
must sql latest left.db 'SELECT 1'; is "a -wal beside it is told" grep -q 'left.db-wal' "$T/err"

# A primary key costs a few pages of a large database.
"$PYTHON" - "$T/src/sub/large.db" <<'PY'
import random, sqlite3, sys
r = random.Random(1)
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)")
db.executemany("INSERT INTO t VALUES(?, ?)", ((i, r.randbytes(700)) for i in range(100000)))
db.commit()
PY
snap "$T/src/sub"
must sql -v latest large.db 'SELECT length(b) FROM t WHERE id = 67890'
decoded=$(sed -n 's/.* \([0-9]*\) bytes decoded .*/\1/p' "$T/err")
atmost "bytes decoded for one row, of $(stat -c %s "$T/src/sub/large.db")" "$decoded" "$(($(stat -c %s "$T/src/sub/large.db") * 3 / 50))"
"$VARVE" cat latest "$T/src/sub/large.db" >"$T/cat.db"
is "cat gives the image" cmp "$T/cat.db" "$T/src/sub/large.db"

# Damage in the repository is damage.
for pack in $(find "$T/repo/packs" -type f -size +1M); do
	chmod u+w "$pack"
	size=$(stat -c %s "$pack")
	for at in $(seq 500000 1000000 "$size"); do
		printf '\xa5\x5a\xa5\x5a' | dd of="$pack" bs=1 seek="$at" conv=notrunc status=none
	done
done
v sql latest large.db 'SELECT sum(length(b)) FROM t'
exits 4 "a damaged chunk"
is "its pack is named" grep -q 'packs/' "$T/err"
finish
