#!/bin/bash
# The pitfalls of locks and of files beside a database, against the real helper: none happens.
# A process loses its locks of a file when it closes any descriptor of it; a -shm is shared with applications; who reads an idle WAL
# database leaves files that others cannot write.  Hot journals, WALs without -shm and read-only directories are in database.sh.
. "$(dirname "$0")/lib.sh"
export T
locks() { "$PYTHON" "$HERE/dblocks.py" "$@"; }
db() { "$PYTHON" "$HERE/dbtool.py" "$@"; }
init_repo
S=$T/src

# An application uses it in the same moment: reads and writes under way, others that look, write and checkpoint.
for mode in delete truncate persist memory wal; do
	rm -rf "$S"; mkdir "$S"
	is "in the middle of transactions ($mode)" locks begun "$mode" "$S"
	rm -rf "$S"; mkdir "$S"
	is "the helper's locks last while it reads ($mode)" locks held "$mode" "$S"
done

# What our reading makes a WAL grow by is told, and bounded.
rm -rf "$S"; mkdir "$S"
is "growth of a WAL: told; a limit: begun anew, or given up" locks grown "$S"

rm -rf "$S"; mkdir "$S"
is "a link to a database that is held, in another one's place: not opened" locks linked "$S"

if [ -e "/proc/$$/task/$$/children" ]; then
	rm -rf "$S"; mkdir -p "$S" "$T/tmp"
	is "a hot journal undone while it is copied: begun anew, without it" env TMPDIR="$T/tmp" "$PYTHON" "$HERE/dblocks.py" undone "$S"
else
	skip "a hot journal undone while it is copied" "children of a process are not told"
fi

# Idle in WAL mode: nothing is left beside it that its owner could not write.
rm -rf "$S"; mkdir "$S"
db make "$S/a" wal 4096 300
if is_root; then
	chmod o+x "$T" "$(dirname "$T")"
	chown -R nobody "$S"
	snap "$S"
	equal "an idle WAL database: nothing beside it" "$(ls "$S")" a
	is "its owner can write" setpriv --reuid=65534 --regid=65534 --clear-groups sqlite3 "$S/a" "insert into t(v) values(1)"
	snap "$S"
	is "and after another snapshot" setpriv --reuid=65534 --regid=65534 --clear-groups sqlite3 "$S/a" "insert into t(v) values(1)"
else
	skip "its owner can write" "needs root"
fi

# Who walks has no descriptor of a database while the helper has one: by no name, link or second name.
rm -rf "$S"; mkdir -p "$S/sub" "$T/away"
db make "$S/a" wal 4096 300
db make "$S/b" delete 4096 300
db make "$S/c" persist 4096 300
db make "$T/away/d" wal 4096 300
cp "$S/c" "$S/plain"
ln "$S/b" "$S/b2"                               # one file, two names, and a third that is no database's
ln "$S/b" "$S/sub/b3"
ln "$S/c" "$S/sub/not-this"
ln -s a "$S/to-a"
ln -s "$T/away/d" "$S/to-d"
head -c 5000 /dev/zero >"$S/late"
touch -d '1 hour ago' "$S/late"
mkfifo "$T/fifo"
db hold "$S/a" wal <"$T/fifo" >"$T/held" &      # there is a WAL with its -shm
holder=$!
exec 9>"$T/fifo"
until [ -s "$T/held" ]; do sleep 0.02; done
traced() {
	run strace -f -y -e trace=open,openat,openat2,open_by_handle_at,creat,close,dup,dup2,dup3,fcntl,recvmsg,execve,clone,clone3,fork,vfork \
		-o "$T/trace" env ASAN_OPTIONS=detect_leaks=0 "$VARVE" snapshot --sqlite-exclude 'not-*' "$S" "$S/sub" "$T/away" "$S/to-a"
	exits 0 "under strace ($1)"
	is "descriptors of the walker and the helper never overlap ($1)" locks trace "$T/trace" \
		"$S/a" "$S/a-wal" "$S/a-shm" "$S/b" "$S/c" "$T/away/d" "${@:2}"
}
if strace -f -y -o /dev/null true 2>/dev/null; then
	traced first "$S/plain"
	for f in "$S/b" "$S/c" "$T/away/d"; do
		sqlite3 "$f" "insert into t(v) values('more')"
	done
	sqlite3 "$S/a" "pragma wal_autocheckpoint=0; insert into t(v) values('more')" >/dev/null
	cat "$S/plain" >"$S/late"                       # a file of the snapshot before
	traced again "$S/late"
else
	skip "descriptors under strace" "strace is not here, or may not trace"
fi
exec 9>&-
wait "$holder" || true
finish
