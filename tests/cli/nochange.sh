#!/bin/bash
# Nothing changed: no regular file is opened and the repository hardly grows.  Files written to less than 60 s before a snapshot are
# read again by the next one, so this script waits that long once.
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/src/sub"
for i in $(seq 1 400); do echo "file $i" >"$T/src/sub/f$i"; done
noise "$T/src/large" 3000000 nochange
# One database file with three names, and beside two of them a WAL: what was committed first, and all.
mkdir "$T/dbs" "$T/dbs/d" "$T/later"
"$PYTHON" - "$T/dbs/d/a" "$T/later/a" "$T/dbs/b" <<'PY'
import os, shutil, sqlite3, sys
first, later, other = sys.argv[1:]
c = sqlite3.connect(first, isolation_level=None)
c.execute("pragma journal_mode=wal")
c.execute("create table t(v)")
c.execute("pragma wal_checkpoint")
os.link(first, later)
os.link(first, other)
c.execute("insert into t values(1)")
shutil.copy(first + "-wal", first + ".keep")
c.execute("insert into t values(2)")
shutil.copy(first + "-wal", later + "-wal")
os._exit(0)
PY
(cd "$T/dbs/d" && mv a.keep a-wal && rm a-shm)
rows() { for f in d/a b; do "$VARVE" sql latest "$T/dbs/$f" "select count(*) from t" | tail -n 1; done | tr '\n' ' '; }
mkdir "$T/damaged"
sqlite3 "$T/damaged/a" "create table t(x); create table u(x); insert into t values(1)"
truncate -s 8192 "$T/damaged/a"
mkdir "$T/attributes" && echo a >"$T/attributes/f" && setfattr -n user.kept -v yes "$T/attributes/f" "$T/attributes" 2>/dev/null || true
init_repo
snap "$T/src"
equal "all files are new" "$(field files_new)" 401
snap "$T/src"
equal "young files are read again" "$(field bytes_new)" 0

sleep 61
snap "$T/src"
before=$(repo_bytes)
if ! command -v strace >/dev/null || ! strace -o /dev/null true 2>/dev/null; then
	skip "no regular file is opened" "strace cannot be used here"
	must snapshot --json "$T/src"
else
	run strace -f -qq -e trace=open,openat,openat2,read,pread64,statx,newfstatat -o "$T/trace" env ASAN_OPTIONS=detect_leaks=0 "$VARVE" snapshot --json "$T/src"
	exits 0 "snapshot of nothing new"
	# Directories of packs have such names, too.
	isnt "no regular file is opened" bash -c 'grep -E "open(at2?)?\(.*(\"|/)(f[0-9]+|large)\"" "$1" | grep -v O_DIRECTORY | grep .' - "$T/trace"
fi
equal "no file counts as changed" "$(field files_changed)+$(field files_new)" 0+0
equal "all count as unmodified" "$(field files_unmodified)" 401
atmost "growth in bytes" $(($(repo_bytes) - before)) 16384

# A changed file is seen, with its old time put back as well: the ctime gives it away.
touch -r "$T/src/sub/f7" "$T/stamp"
echo "FILE 7" >"$T/src/sub/f7"
touch -r "$T/stamp" "$T/src/sub/f7"
snap "$T/src"
equal "one file changed" "$(field files_changed)" 1
must cat latest "$T/src/sub/f7"
equal "its new content is kept" "$(cat "$T/out")" "FILE 7"

snap --skip-if-unchanged "$T/src"
must list --json
equal "--skip-if-unchanged makes no snapshot" "$("$PYTHON" -c 'import json,sys; print(len(json.load(open(sys.argv[1]))))' "$T/out")" 5

# Times that are old do not tell that a WAL is the one that was read.
snap "$T/dbs"
equal "a database with a WAL: by both names" "$(rows)" "1 1 "
snap "$T/dbs"
equal "nothing changed: it is not read" "$(field bytes_read)" 0
mv "$T/dbs/d" "$T/earlier" && mv "$T/later" "$T/dbs/d"
snap "$T/dbs"
equal "another WAL with old times in its place" "$(rows)" "2 2 "
rm "$T/dbs/d/a-wal"
snap "$T/dbs"
equal "the WAL was removed" "$(rows)" "0 0 "

for n in 1 2; do
	v snapshot --json "$T/damaged"; exits 3 "a damaged database, $n"
	is "it is told, $n" grep -q "damaged/a.*unverified" "$T/err"
done
# What the snapshot does not read anew it takes from its parent: not attributes that could not be read.
if strace -o /dev/null true 2>/dev/null && [ -n "$(getfattr "$T/attributes/f" 2>/dev/null)" ]; then
	run strace -f -qq -e trace=flistxattr,llistxattr,listxattr -e inject=flistxattr,llistxattr,listxattr:error=ENOSPC -o /dev/null \
		env ASAN_OPTIONS=detect_leaks=0 "$VARVE" snapshot "$T/attributes"
	exits 3 "attributes that cannot be read"
	snap "$T/attributes"
	must restore "latest:$T/attributes" --target "$T/attributes.back"
	attributes() { (cd "$1" && getfattr -d . f); }
	equal "the next snapshot has them" "$(attributes "$T/attributes.back")" "$(attributes "$T/attributes")"
else
	skip "the next snapshot has them" "no strace or no attributes here"
fi

finish
