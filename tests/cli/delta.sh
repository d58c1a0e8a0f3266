#!/bin/bash
# What changes in place costs what changed: deltas of chunks, and of the lists that name them.
. "$(dirname "$0")/lib.sh"
init_repo
mkdir "$T/src"
noise "$T/src/disk" $((96 << 20)) disk
snap "$T/src"
before=$(repo_bytes)
"$PYTHON" - "$T/src/disk" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    for i in range(10):
        f.seek(i * 9460000 + 12345)
        f.write(b"changed %d" % i)
PY
snap "$T/src"
atmost "ten places of 96 MiB changed" $(($(repo_bytes) - before)) 16000
must restore "latest:$T/src" --target "$T/back"
is "it comes back" cmp "$T/src/disk" "$T/back/disk"

# Whole pages, some of them on a cut, some on both sides of one: the cuts around them stay.  435-460 KB, depending on the key: lists end where they did.
before=$(repo_bytes)
"$PYTHON" - "$T/src/disk" <<'PY'
import random, sys
r = random.Random(8)
with open(sys.argv[1], "r+b") as f:
    for i in range(100):
        f.seek(r.randrange(24 << 10) * 4096)
        f.write(r.randbytes(4096))
PY
snap "$T/src"
atmost "100 pages of 96 MiB changed" $(($(repo_bytes) - before)) 500000

# Neighbours changed together: every other page of half a MiB, 262 KB in 64 pages.
before=$(repo_bytes)
"$PYTHON" - "$T/src/disk" <<'PY'
import random, sys
r = random.Random(9)
with open(sys.argv[1], "r+b") as f:
    for i in range(64):
        f.seek((40 << 20) + i * 8192)
        f.write(r.randbytes(4096))
PY
snap "$T/src"
atmost "every other page of 512 KiB changed" $(($(repo_bytes) - before)) 310000
must restore "latest:$T/src" --target "$T/back"
is "it comes back again" cmp "$T/src/disk" "$T/back/disk"

# A log that grows: its last chunk has a base, what is new is all that is stored.
"$PYTHON" -c 'import sys; [print("%08d request from 10.0.%d.%d took %d ms" % (i, i % 251, i % 83, i * 7919 % 1000)) for i in range(400000)]' >"$T/src/log"
snap "$T/src"
before=$(repo_bytes)
"$PYTHON" -c 'import sys; [print("%08d request from 10.0.%d.%d took %d ms" % (i, i % 251, i % 83, i * 7919 % 1000)) for i in range(400000, 400200)]' >>"$T/src/log"
snap "$T/src"
# Its nodes, its segment and its record are there twice.
atmost "a log grown by 9 KB" $(($(repo_bytes) - before)) 12000

# In a database content moves: its base is where it was.
mkdir "$T/db"
"$PYTHON" - "$T/db/app" make <<'PY'
import random, sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.execute("create table t(id integer primary key, v blob)")
r = random.Random(5)
c.executemany("insert into t values(?,?)", [(i, r.randbytes(3000)) for i in range(5000)])
c.commit()
PY
snap "$T/db"
before=$(repo_bytes)
sqlite3 "$T/db/app" "pragma secure_delete=on; create table u as select * from t where id between 1000 and 1399; delete from t where id between 1000 and 1399" >/dev/null
snap "$T/db"
atmost "1.2 MB moved inside a database" $(($(repo_bytes) - before)) 450000
must restore "latest:$T/db" --target "$T/dbback"
is "it comes back, too" cmp "$T/db/app" "$T/dbback/app"

# What changed in a database is compressed harder than the level says: nearly as well as with the level that is used for it.
words() {
	"$PYTHON" - "$@" <<'PY'
import random, sqlite3, sys
path, seed, begin, count, step = sys.argv[1], *map(int, sys.argv[2:])
r = random.Random(seed)
stems = ["%s%s" % (a, b) for a in "ba co du fi go hu ka le mi no pu ra".split() for b in "st rn ld th ck mp ll ng".split()]
c = sqlite3.connect(path)
c.execute("create table if not exists t(id integer primary key, v text)")
word = lambda: "".join(r.choice(stems) for _ in range(r.randrange(1, 4)))
book = [word() for _ in range(3000)]
c.executemany("insert into t values(?,?)", [(begin + i * step, " ".join(r.choice(book) for _ in range(150))) for i in range(count)])
c.commit()
PY
}
mkdir "$T/text"
words "$T/text/app" 1 0 6000 2
cp "$T/text/app" "$T/one"
for level in 3 9; do
	export VARVE_REPOSITORY=$T/repo-$level VARVE_KEY_FILE=$T/key-$level
	init_repo
	cp "$T/one" "$T/text/app"
	snap "$T/text" --compression-level "$level"
	before=$(repo_bytes)
	words "$T/text/app" 2 1 3000 4
	snap "$T/text" --compression-level "$level"
	eval "grown_$level=$(($(repo_bytes) - before))"
done
# shellcheck disable=SC2154
atmost "what changed takes 5.5 % more than with level 9" "$grown_3" $((grown_9 * 1055 / 1000))
finish
