#!/bin/bash
# varve diff --databases: which tables differ, and by how many rows.
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
"$PYTHON" "$HERE/mkdb.py" "$T/src/app.db" 4096 wal
echo 'not a database' >"$T/src/text"
: >"$T/src/born.db"
sqlite3 "$T/src/same.db" 'CREATE TABLE t(a); INSERT INTO t VALUES(1), (2), (3); CREATE TABLE u(b); DROP TABLE u'
sqlite3 "$T/src/edge.db" <<'SQL'
CREATE TABLE nulls(k TEXT PRIMARY KEY, v);
INSERT INTO nulls VALUES(NULL, 1), (NULL, 2), ('a', 3);
CREATE TABLE nocase(k TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID;
INSERT INTO nocase VALUES('A', 1), ('b', 2), ('C', 3);
CREATE TABLE types(id INTEGER PRIMARY KEY, v);
INSERT INTO types VALUES(1, 1), (2, 'x'), (3, NULL), (4, 0.5), (5, x'00');
CREATE TABLE grown(id INTEGER PRIMARY KEY, v);
INSERT INTO grown VALUES(1, 1), (2, 2);
CREATE TABLE rekeyed(a, b, PRIMARY KEY(a)) WITHOUT ROWID;
INSERT INTO rekeyed VALUES(1, 2);
CREATE TABLE hidden(rowid TEXT, v, w AS (v + 1));
INSERT INTO hidden VALUES('r', 1), ('s', 2);
CREATE TABLE "odd ""name"" of; it"("a ""b""" PRIMARY KEY, "c'd");
INSERT INTO "odd ""name"" of; it" VALUES(1, 2);
CREATE VIRTUAL TABLE outside USING fts5(v, content='grown', content_rowid='id');
CREATE VIEW look AS SELECT 1;
SQL
"$PYTHON" - "$T/src/edge.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE wide(k TEXT PRIMARY KEY, %s)" % ", ".join("c%d" % i for i in range(900)))
db.executemany("INSERT INTO wide(k, c0, c899) VALUES(?, ?, ?)", (("w%d" % i, i, i) for i in range(20)))
db.commit()
PY
sqlite3 "$T/src/wide16.db" 'PRAGMA encoding = "UTF-8"; CREATE TABLE t(a)'
init_repo
snap "$T/src"

"$PYTHON" "$HERE/mkdb.py" "$T/src/app.db"
echo 'nor this one' >"$T/src/text"
sqlite3 "$T/src/born.db" 'CREATE TABLE t(a); INSERT INTO t VALUES(1)'
sqlite3 "$T/src/same.db" VACUUM
sqlite3 "$T/src/edge.db" <<'SQL'
UPDATE nulls SET v = 22 WHERE v = 2;
UPDATE nocase SET k = 'a' WHERE k = 'A';
DELETE FROM nocase WHERE k = 'b';
UPDATE types SET v = 1.0 WHERE id = 1;
UPDATE types SET v = x'78' WHERE id = 2;
UPDATE types SET v = '' WHERE id = 3;
UPDATE types SET v = x'0000' WHERE id = 5;
ALTER TABLE grown ADD COLUMN w DEFAULT 7;
UPDATE grown SET v = 20 WHERE id = 2;
DROP TABLE rekeyed;
CREATE TABLE rekeyed(a, b, PRIMARY KEY(b)) WITHOUT ROWID;
UPDATE hidden SET v = 3 WHERE v = 2;
UPDATE "odd ""name"" of; it" SET "c'd" = 3;
INSERT INTO outside(rowid, v) VALUES(9, 'nine');
UPDATE wide SET c899 = -1 WHERE k < 'w11';
DROP VIEW look;
CREATE VIEW look AS SELECT 2;
SQL
rm "$T/src/wide16.db"
sqlite3 "$T/src/wide16.db" 'PRAGMA encoding = "UTF-16le"; CREATE TABLE t(a)'
snap "$T/src"

v diff latest~1 latest --databases
exits 1 "a database that cannot be compared"
is "it is named" grep -q "cannot compare database .*wide16.db.*encoding" "$T/err"
table() { is "$1" grep -Fqx "    $1" "$T/out"; }
for line in 'table fresh: new; 2 rows added' 'table gone: gone; 1 row removed' \
	'table kv: 2 rows added, 1 removed, 3 changed' 'table notes: 1 row added' \
	'table tags: 1 row changed' 'table users: 1 row added, 3 removed, 2 changed' \
	'index by_name: gone' 'table t: new; 1 row added' 'every row is the same' \
	'table nulls: 1 row changed' 'table nocase: 1 row removed, 1 changed' \
	'table types: 4 rows changed' 'table grown: definition changed; 1 row changed' \
	'table rekeyed: definition changed; the primary key is another one' \
	'table hidden: 1 row changed' 'table odd "name" of; it: 1 row changed' \
	'table outside: it differs; rows of such a virtual table are not counted' \
	'table wide: 3 rows changed' 'view look: definition changed'; do
	table "$line"
done
equal "nothing else" "$(grep -c '^    ' "$T/out")" 19
must diff latest~1 latest; isnt "not unless asked for" grep -q '^    ' "$T/out"
must diff "latest~1:$T/src/app.db" latest --databases --json
equal "in JSON" "$(grep '"name":"users"' "$T/out" | sed 's/.*definition/definition/')" \
	'definition_changed":false,"rows_added":1,"rows_removed":3,"rows_changed":2}'
must diff "latest:$T/src/edge.db" latest --databases; isnt "no difference" grep -q '^    ' "$T/out"

# Against a count by brute force.
cat >"$T/brute.py" <<'PY'
import random, sqlite3, sys
seed, old, new = int(sys.argv[1]), sys.argv[2], sys.argv[3]
r = random.Random(seed)
kinds = {"byid": "id INTEGER PRIMARY KEY, v", "bykey": "id TEXT PRIMARY KEY, v",
    "two": "id, j, v, PRIMARY KEY(j, id)", "wr": "id TEXT, j, v, PRIMARY KEY(id, j DESC)) WITHOUT ROWID --"}
if len(sys.argv) > 4:
    got = {}
    import json
    for line in open(sys.argv[4]):
        v = json.loads(line)
        if v["type"] == "table":
            got[v["name"]] = (v["rows_added"], v["rows_removed"], v["rows_changed"])
    for t in kinds:
        key = "id, j" if t in ("two", "wr") else "id"
        a, b = ({row[:-1]: row[-1] for row in sqlite3.connect(p).execute("SELECT %s, v FROM %s" % (key, t))} for p in (old, new))
        want = (len(b.keys() - a.keys()), len(a.keys() - b.keys()), sum(a[k] != b[k] for k in a.keys() & b.keys()))
        if got.get(t, (0, 0, 0)) != want:
            sys.exit("%s: got %s, want %s" % (t, got.get(t), want))
    sys.exit(0)
db = sqlite3.connect(old)
for t, cols in kinds.items():
    db.execute("CREATE TABLE %s(%s\n)" % (t, cols) if "--" not in cols else "CREATE TABLE %s(%s" % (t, cols))
def row(t):
    i = r.randrange(2000)
    v = r.choice([None, i, "v%d" % r.randrange(3), 0.5])
    k = i if t == "byid" else "k%d" % i
    return (k, r.randrange(3), v) if t in ("two", "wr") else (k, v)
def put(n):
    for t in kinds:
        for _ in range(n):
            x = row(t)
            db.execute("REPLACE INTO %s VALUES(%s)" % (t, ",".join("?" * len(x))), x)
put(1500)
db.commit()
db.execute("VACUUM INTO '%s'" % new)
db.close()
db = sqlite3.connect(new)
for t in kinds:
    db.execute("DELETE FROM %s WHERE abs(random()) %% 10 = 0" % t)
put(r.choice([0, 1, 300]))
db.commit()
db.execute("VACUUM")
PY
for seed in 1 2 3; do
	rm -rf "$T/one" "$T/two"; mkdir "$T/one" "$T/two"
	"$PYTHON" "$T/brute.py" $seed "$T/one/r.db" "$T/two/r.db"
	snap "$T/one"; snap "$T/two"
	must diff --databases --json "latest~1:$T/one" "latest:$T/two"
	is "as counted otherwise, seed $seed" "$PYTHON" "$T/brute.py" $seed "$T/one/r.db" "$T/two/r.db" "$T/out"
done

# Damage.
"$PYTHON" - "$T/two/r.db" <<'PY'
import random, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("CREATE TABLE noise(b)")
db.executemany("INSERT INTO noise VALUES(?)", ((random.randbytes(3000),) for _ in range(500)))
db.commit()
PY
find "$T/repo/packs" -type f >"$T/packs"
snap "$T/two"
for pack in $(find "$T/repo/packs" -type f -size +1M | grep -vxFf "$T/packs"); do
	chmod u+w "$pack"
	printf '\xa5\x5a\xa5\x5a' | dd of="$pack" bs=1 seek=700000 conv=notrunc status=none
done
v diff --databases latest~1 latest
exits 4 "a damaged chunk"
is "the file is listed all the same" grep -q '^M .*r.db' "$T/out"
finish
