#!/bin/bash
# Restoring a database: complete and durable before it takes its place, nothing stale beside it, not under a process that uses it.
. "$(dirname "$0")/lib.sh"
db() { "$PYTHON" "$HERE/dbtool.py" "$@"; }
hold() {
	mkfifo "$T/fifo"
	db hold "$1" "$2" <"$T/fifo" >"$T/held" &
	holder=$!
	exec 9>"$T/fifo"
	until [ -s "$T/held" ]; do sleep 0.02; done
}
release() {
	exec 9>&-
	wait "$holder" || true
	rm -f "$T/fifo" "$T/held"
}
init_repo
S=$T/src
mkdir "$S"
db make "$S/a" wal 4096 300
echo text >"$S/notes"
snap "$S"
first=$(field snapshot)
sum=$(sha1sum <"$S/a")

# A WAL that was left behind belongs to the file that is replaced.
hold "$S/a" wal
v restore "$first:$S" --target "$S"; exits 1 "while a process has it open"
is "it is said which" grep -q "'$S/a'.*has this database open" "$T/err"
v restore "$first:$S" --target "$S" --dry-run; exits 1 "the dry run says so, too"
release
equal "the database is as it was" "$(db rows "$S/a")" "ok 300"
is "its WAL is there" test -s "$S/a-wal"
equal "with its WAL it has one row more" "$(sqlite3 -readonly "$S/a" 'select count(*) from t')" 301
hold "$S/a" wal && release
must restore "$first:$S" --target "$S"
equal "it is replaced" "$(sha1sum <"$S/a")" "$sum"
equal "nothing stale beside it" "$(ls "$S" | tr '\n' ' ')" "a notes "
equal "and it means what it did" "$(sqlite3 "$S/a" 'select count(*) from t')" 300
must restore "$first:$S" --target "$S"
is "equal: left alone" grep -q "0 written" "$T/out"

# A journal left behind by a database that was removed would be played back into the new one.
rm "$S"/a*
head -c 5000 /dev/urandom >"$S/a-journal"; echo x >"$S/a-wal"; echo x >"$S/a-shm"
must restore "$first:$S" --target "$S"
equal "a stale journal, WAL and -shm are removed" "$(ls "$S" | tr '\n' ' ')" "a notes "

# --force, and --overwrite if-changed.
hold "$S/a" wal
v restore "$first:$S" --target "$S" --overwrite if-changed; exits 1 "if-changed looks, too"
must restore "$first:$S" --target "$S" --force
equal "--force replaces it" "$(sha1sum <"$S/a")" "$sum"
release
rm -f "$S"/a-*

# It is synced before it is renamed, and its directory afterwards.
if strace -f -o /dev/null true 2>/dev/null; then
	rm "$S/a"; echo stale | tee "$S/a-wal" "$S/a-shm" >"$S/a-journal"
	run strace -f -e trace=fsync,fdatasync,rename,renameat,renameat2,unlinkat -o "$T/trace" env ASAN_OPTIONS=detect_leaks=0 "$VARVE" restore "$first:$S" --target "$S"
	exits 0 "under strace"
	equal "sync, remove what is stale, sync, rename, sync" "$(grep -v 'locks\|reserve' "$T/trace" | sed -n 's/^[0-9]* *\([a-z]*\).*"\([^"]*\)".*/\1 \2/p; s/^[0-9]* *\(fsync\).*/\1/p' |
		grep -v 'notes' | sed 's/\.varve-[^ ]*/TEMP/; s/renameat2*/rename/' | grep -A9 -m1 fsync | head -7 | tr '\n' ',')" "fsync,unlinkat a-shm,unlinkat a-journal,unlinkat a-wal,fsync,rename a,fsync,"
else
	skip "order under strace" "no strace here"
fi

# Open elsewhere, what lies beside it is not for --delete, whether the database is equal, left alone or refused.
hold "$S/a" idle
touch "$S/a-wal" "$S/a-shm"
must restore "$first:$S" --target "$S" --delete
is "an empty WAL and a -shm in use stay" test -e "$S/a-wal" -a -e "$S/a-shm"
release
rm -f "$S"/a-*
hold "$S/a" wal
v restore "$first:$S" --target "$S" --delete; exits 1 "--delete while a process has it open"
is "the WAL in use stays" test -s "$S/a-wal"
must restore "$first:$S" --target "$S" --delete --overwrite never
is "so does that of one that is skipped" test -s "$S/a-wal"
release
must restore "$first:$S" --target "$S" --delete
equal "nobody has it open: it goes" "$(ls "$S" | tr '\n' ' ')" "a notes "

# Stored as found: what the snapshot has beside it is its own, and nothing else is.
R=$T/raw
mkdir "$R" "$T/kept"
db make "$R/d" delete 4096 50
hold "$R/d" exclusive
v snapshot "$R"; exits 3 "a database is stored as found"
cp "$R"/d* "$T/kept"
release
is "with its journal" test -s "$T/kept/d-journal"
db make "$T/other" wal 4096 10
other() { rm -f "$R"/*; cp "$T/other" "$R/d" && hold "$R/d" wal; }
raw() { v restore "latest:$R" --path "$R" --target "$R" "$@"; }
other
raw; exits 1 "another is open in its place"
equal "nothing came beside that" "$(ls "$R" | tr '\n' ' ')" "d d-shm d-wal "
raw --overwrite never; exits 0 "one that is skipped"
equal "nothing came beside that either" "$(ls "$R" | tr '\n' ' ')" "d d-shm d-wal "
release
raw; exits 0 "nobody has it open"
is "it came with its journal, alone" diff -r "$T/kept" "$R"
ids=$(stat -c '%i %Z' "$R"/*)
raw --delete; exits 0 "again"
equal "all was right" "$(stat -c '%i %Z' "$R"/*)" "$ids"
echo stale >"$R/d-journal"; echo stale >"$R/d-wal"
raw; exits 0 "its journal is another"
is "it is replaced, a WAL goes" diff -r "$T/kept" "$R"
ids=$(stat -c '%i %Z' "$R/d")
rm "$R/d-journal"
raw; exits 0 "its journal is missing"
is "it is back" diff -r "$T/kept" "$R"
equal "the database was right" "$(stat -c '%i %Z' "$R/d")" "$ids"
rm "$R/d-journal"
exec 8<"$R/d"
raw; exits 1 "something is to come beside one that is open"
is "it does not" test ! -e "$R/d-journal"
raw --overwrite never
is "nor where files that are there are left" test ! -e "$R/d-journal"
exec 8<&-
raw --overwrite never; exits 0 "an interrupted restore is completed"
is "it is back" diff -r "$T/kept" "$R"
# Another journal beside it, and the snapshot's is not restored: it is nobody's to remove, and a new database may not stand beside it.
parted() { grep -q "1 database, stored as found, without the WAL or journal" "$T/err"; }
alone() { v restore "latest:$R/d" --path "$R" --target "$R"; }
echo another >"$R/d-journal"
rm -rf "$T/mine" && cp -a "$R" "$T/mine"
raw --exclude '*-journal'; exits 0 "the database is right, another journal is excluded"
is "that it lacks its own is told" parted
is "nothing is touched" diff -r "$T/mine" "$R"
alone; exits 0 "the database alone, which is right"
is "nothing is touched then" diff -r "$T/mine" "$R"
printf x | dd of="$R/d" bs=1 seek=5000 conv=notrunc status=none
rm -rf "$T/mine" && cp -a "$R" "$T/mine"
raw --exclude '*-journal'; exits 1 "the database is another, its journal excluded"
is "that is told" grep -q "d-journal.*restore both" "$T/err"
alone; exits 1 "the database alone, which is another"
is "nothing is touched by either" diff -r "$T/mine" "$R"
raw; exits 0 "both"
is "both are there" diff -r "$T/kept" "$R"
alone; isnt "the database alone, its journal is there: nothing to tell" parted
v restore "latest:$R/d" --path "$R" --target "$T/alone" -n; is "the database alone, elsewhere: a dry run says so" parted
v restore "latest:$R/d" --path "$R" --target "$T/alone"; exits 0 "the database alone, elsewhere"
is "that is told" parted

ln "$R/d" "$R/same"
hold "$R/d" exclusive
v snapshot "$R"; exits 3 "with two names"
rm -rf "$T/kept" && cp -a "$R" "$T/kept"
release
rm "$R"/* && echo stale >"$R/same-wal" && echo stale >"$R/d-wal"
raw; exits 0 "into a directory with stale WALs"
is "both names come, the WALs go" diff -r "$T/kept" "$R"
echo stale >"$R/same-wal"
raw; exits 0 "the second name has a stale WAL"
is "it goes" diff -r "$T/kept" "$R"

# Beside a name of 250 bytes there can be no journal.
L=$T/long
mkdir "$L"
cp "$T/other" "$L/$(printf 'x%.0s' $(seq 250))"
must snapshot "$L"
must restore "latest:$L" --path "$L" --target "$T/back"
must restore "latest:$L" --path "$L" --target "$T/back"
is "a database with a long name comes back" diff -r "$L" "$T/back"

# A database damaged before it was captured is not put in the place of a sound one.
cp "$S/a" "$T/sound"
"$PYTHON" - "$S/a" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(4096 * 9)
    f.write(b"\x55" * 2000)
PY
snap "$S"
cp "$T/sound" "$S/a"
v restore "latest:$S" --target "$S" --check-databases; exits 1 "--check-databases"
is "says what is wrong" grep -q "integrity_check" "$T/err"
is "and leaves what is there" cmp "$T/sound" "$S/a"
must restore "$first:$S" --target "$T/fresh" --check-databases
equal "a sound one passes" "$(sha1sum <"$T/fresh/a")" "$sum"
equal "nothing is left of the check" "$(ls -A "$T/fresh" | tr '\n' ' ')" "a notes "

# A database in the target that the restore does not bring keeps what lies beside it.
A=$T/live
mkdir "$A"
db make "$A/d" wal 4096 50
snap "$A"
live() { v restore "latest:$A" --path "$A" --target "$A" "$@"; }
hold "$A/d" wal
rm -rf "$T/mine" && mkdir "$T/mine" && cp "$A/d" "$A/d-wal" "$T/mine"
release
cp "$T/mine/"* "$A"
live --delete --exclude d; exits 0 "--delete, the database excluded"
is "its WAL stays" cmp "$A/d-wal" "$T/mine/d-wal"
v snapshot "$A" --exclude d; exits 0 "a WAL in a snapshot without its database"
echo later >>"$A/d-wal" && cp "$A/d-wal" "$T/mine"
live; exits 1 "it is not put beside the database that is there"
is "that is said" grep -q "d-wal': it lies beside a database that is not restored" "$T/err"
is "the one that is there stays" cmp "$A/d-wal" "$T/mine/d-wal"
cp "$T/src/notes" "$A/d-wal" && v snapshot "$A" --exclude d && cp "$T/mine/d" "$A"
live; exits 0 "what is right is no matter"
v snapshot "$A" --exclude d --quiet && rm -f "$A"/d-* && live --dry-run; exits 1 "a dry run says so, too"
live --delete --dry-run --exclude d --path "$S"; isnt "and of what lies beside an excluded one, that it stays" grep -q -- '^- .*d-wal' "$T/out"
rm "$A"/d*
live; exits 0 "where there is none, it comes"
is "as it was" test -s "$A/d-wal"

# Whatever comes in the place of a database, it is one, and has a WAL.
cp "$T/mine/"* "$A"
mkdir "$T/plain" && noise "$T/plain/d" 8192 plain && snap "$T/plain"
over() { v restore "latest:$T/plain" --path "$T/plain" --target "$A"; }
over; exits 0 "something else in its place"
equal "its WAL went with it" "$(ls "$A" | tr '\n' ' ')" "d "
cp "$T/mine/"* "$A" && rm "$A/d-wal"
exec 8<"$A/d"
over; exits 1 "not while a process has it open"
rm "$T/plain/d" && ln -s elsewhere "$T/plain/d" && snap "$T/plain"
over; exits 1 "neither a link"
exec 8<&-
is "it is still there" cmp "$A/d" "$T/mine/d"
over; exits 0 "nobody has it open"
is "the link is there" test -L "$A/d"

# Without --no-sqlite it would be captured; so its parts are files.  A directory is no WAL.
rm -rf "$A" && mkdir "$A" "$A/e-wal" && echo text >"$A/e" && cp "$T/mine/"* "$A" && v snapshot "$A" --no-sqlite --quiet && cp -a "$A" "$T/parts"
cp "$T/other" "$A/e" && echo another >"$A/d-wal" && rm "$A/d"
live --dry-run; exits 0 "a dry run of a database in parts"
live; exits 0 "a database in parts"
is "all is back" diff -r "$A" "$T/parts"
echo another >"$A/d-wal"
exec 8<"$A/d"
live; exits 1 "its WAL, while a process has it open"
equal "that stays" "$(cat "$A/d-wal")" another
live --delete --exclude nothing; exits 1 "nor is it removed"
exec 8<&-
rm "$A/d-wal"
live --overwrite never; exits 0 "an interrupted restore of one in parts"
is "it is completed" diff -r "$A" "$T/parts"
echo old >"$A/e" && echo new >"$A/e-journal" && touch -d 2020-01-01 "$A/e"
live --overwrite if-newer
equal "what only has the name of a journal says nothing" "$(cat "$A/e")" text

# Its last changes may be in its WAL alone.
rm -rf "$A" && mkdir "$A" && db make "$A/d" wal 4096 50 && touch -d 2021-01-01 "$A/d" && snap "$A"
cp "$T/mine/"* "$A" && touch -d 2020-01-01 "$A/d"
live --overwrite if-newer; exits 0 "--overwrite if-newer, a WAL is newer"
is "it stays" test -s "$A/d-wal"
touch -d 2019-01-01 "$A/d-wal" && touch -d 2022-01-01 "$A/d"
live --overwrite if-newer; exits 0 "the database is newer, its WAL older"
is "it stays then, too" test -s "$A/d-wal"
if is_root && unshare -m true 2>/dev/null; then
	# shellcheck disable=SC2016
	run unshare -m bash -eu -c 'cp "$1/d" "$2.bound" && mount --bind "$2.bound" "$1/d" && exec "$VARVE" restore "latest:$1" --path "$1" --target "$1"' bash "$A" "$T/live"
	exits 1 "a database that is mounted there"
	is "it keeps its WAL" test -s "$A/d-wal"
	if command -v setpriv >/dev/null; then
		mkdir "$T/user" && chmod 711 "$T" && chmod o+x "$(dirname "$T")" && cp -a "$T/repo" "$T/key" "$T/user" && chown -R 65534 "$T/user" "$A" && cp "$VARVE" "$T/varve.user" && chown 0 "$A/d"
		user() { run setpriv --reuid=65534 --regid=65534 --clear-groups env VARVE_REPOSITORY="$T/user/repo" VARVE_KEY_FILE="$T/user/key" "$T/varve.user" restore "latest:$A" --path "$A" --target "$A" "$@"; }
		user; exits 1 "somebody else's database: nobody can tell whether it is open"
		is "that is said" grep -q "or nobody can tell" "$T/err"
		is "it keeps its WAL then" test -s "$A/d-wal"
		chmod 600 "$A/d"
		user --delete --exclude d; exits 0 "--delete, one excluded that this user cannot read"
		is "it keeps its WAL, too" test -s "$A/d-wal"
		chmod 644 "$A/d"
		user --force; exits 0 "--force"
	fi
else
	skip "a database that is mounted there" "mounting takes root"
fi

finish
