#!/bin/bash
# Databases are captured: consistent, in every mode and state, without changing anything; each hostile case has an outcome.
. "$(dirname "$0")/lib.sh"
db() { "$PYTHON" "$HERE/dbtool.py" "$@"; }
# hold FILE HOW: another process has it open until `release`.
hold() {
	mkfifo "$T/fifo"
	db hold "$1" "$2" <"$T/fifo" >"$T/held" &
	holder=$!
	exec 9>"$T/fifo"
	until [ -s "$T/held" ]; do sleep 0.02; done
}
# Whoever changes things all the time ends of itself: a kill would leave its last command at work.
end_of_changes() {
	touch "$T/enough"
	wait "$swapper" || true
	rm "$T/enough"
}
release() {
	exec 9>&-
	wait "$holder" || true
	rm -f "$T/fifo" "$T/held"
}
# state FILE: content and times (of a change of its owner, too) of the database and what is beside it; the -shm is anybody's.
state() { (cd "$(dirname "$1")" && for f in "$(basename "$1")"*; do case $f in *-shm) echo "$f" ;; *) sha1sum "$f"; stat -c '%n %y %z %s %i' "$f" ;; esac; done); }
# unchanged NAME FILE ARGUMENT...: a snapshot that leaves it as it was.
unchanged() {
	local name=$1 file=$2 before after
	shift 2
	before=$(state "$file")
	v snapshot --json "$@"
	after=$(state "$file")
	equal "$name: the source is as it was" "$after" "$before"
}
image() { "$VARVE" cat latest "$1" >"$T/image"; }
how() { grep '"type":"database"' "$T/out" | "$PYTHON" -c 'import json,sys; [print(int(d["captured"]), int(d["one_instant"])) for d in map(json.loads, sys.stdin)]'; }

init_repo
S=$T/src
mkdir "$S"

# Every journal mode and some page sizes, closed: the image is the file.
for mode in wal delete truncate persist; do
	for page in 512 4096 65536; do db make "$S/$mode-$page" "$mode" "$page" 300; done
done
cat "$S/wal-4096" >"$S/copy of a database"
(cd "$S" && sha1sum -- *[0-9] copy*) >"$T/sums"
unchanged "idle databases" "$S/wal-4096" "$S"; exits 0 "idle databases"
equal "all captured at one instant" "$(how | sort | uniq -c | tr -s ' ')" " 13 1 1"
equal "the record counts them" "$(field databases)" 13
must restore "latest:$S" --target "$T/back"
is "the images are the files" sh -c "cd '$T/back' && sha1sum -c '$T/sums'"
equal "nothing is left beside them" "$(ls "$S" | grep -c -- '-wal\|-shm' || true)" 0
snap "$S"
atmost "nothing new: nothing stored" "$(field bytes_new)" 0

snap "$S" --no-sqlite
equal "--no-sqlite: none" "$(field databases)" 0
snap "$S" --sqlite-exclude 'wal-*'
equal "--sqlite-exclude" "$(field databases)" 10

# In use.
rm -rf "$S"; mkdir "$S"
db make "$S/a" wal 4096 300
hold "$S/a" wal
unchanged "a live WAL" "$S/a" "$S"; exits 0 "a live WAL"
image "$S/a"
equal "what is in the WAL is in the image" "$(db rows "$T/image")" "ok 301"
isnt "the WAL itself is not stored" "$VARVE" cat latest "$S/a-wal"
isnt "nor the -shm" "$VARVE" cat latest "$S/a-shm"
# A copy of database and WAL without -shm: it is recovered elsewhere.
mkdir "$T/two"
cp "$S/a" "$S/a-wal" "$T/two"
release
unchanged "after a crash" "$S/a" "$S"; exits 0 "after a crash"
image "$S/a"
equal "after a crash the WAL counts" "$(db rows "$T/image")" "ok 301"
unchanged "a WAL without -shm" "$T/two/a" "$T/two"; exits 0 "a WAL without -shm"
image "$T/two/a"
equal "it was recovered, elsewhere" "$(db rows "$T/image")" "ok 301"
equal "no -shm was made" "$(ls "$T/two" | tr '\n' ' ')" "a a-wal "
equal "no copy was left" "$(ls -d "${TMPDIR:-/var/tmp}"/varve-db-* 2>/dev/null | wc -l)" 0

# A header of a rollback journal, and a WAL: SQLite reads what is in it.  Nothing is made or overwritten beside them.
db mode "$T/two/a" 1
unchanged "a WAL beside a header without" "$T/two/a" "$T/two"; exits 0 "a WAL beside a header without"
image "$T/two/a"
equal "it was read" "$(db rows "$T/image")" "ok 301"
equal "no -shm was made there" "$(ls "$T/two" | tr '\n' ' ')" "a a-wal "
rm -rf "$S"; mkdir "$S"
db make "$S/a" delete 4096 300
cp "$S/a" "$S/b"
echo "no WAL" | tee "$S/a-wal" >"$T/no-wal"
ln -s "$T/no-wal" "$S/b-wal"
for shm in "" "notes"; do
	[ -z "$shm" ] || echo "$shm" | tee "$S/a-shm" >"$S/b-shm"
	before=$(cd "$S" && sha1sum -- *)
	v snapshot "$S"
	isnt "one beside such a name is captured ($shm)" grep -q "'$S/a'" "$T/err"
	equal "what only has such a name stays as it was ($shm)" "$(cd "$S" && sha1sum -- *)" "$before"
	image "$S/a"
	is "the image is the file ($shm)" cmp "$T/image" "$S/a"
	image "$S/b"
	is "with a link, too: captured or as found" cmp "$T/image" "$S/b"
done

# Names of one file, of which one has what belongs to it; the first one to be found has not.
for mode in wal hot; do
	rm -rf "$S" "$T/back"; mkdir "$S"
	journal=$mode rows=301
	if [ "$mode" = hot ]; then journal=delete rows=3000; fi
	db make "$S/b" "$journal" 4096 $((rows / 10 * 10))
	ln "$S/b" "$S/a"
	ln "$S/b" "$S/c"
	hold "$S/b" "$mode"
	[ "$mode" = wal ] || release
	unchanged "names of one file ($mode)" "$S/b" "$S"; exits 0 "names of one file ($mode)"
	equal "all are captured ($mode)" "$(how | sort | uniq -c | tr -s ' ')" " 3 1 1"
	must restore "latest:$S" --target "$T/back"
	equal "by each name what was committed ($mode)" "$(for n in a b c; do db rows "$T/back/$n"; done | uniq)" "ok $rows"
	cp "$(ls "$S"/b-[wj]* | grep -v shm)" "$S/a-$(ls "$S" | sed -n 's/^b-\([wj].*\)/\1/p')"
	v snapshot --json "$S"; exits 3 "two names with something beside them ($mode)"
	if [ "$mode" = hot ]; then
		equal "none is captured, since nobody can tell ($mode)" "$(how | sort | uniq -c | tr -s ' ')" " 3 0 0"
		is "both are stored with it ($mode)" sh -c "'$VARVE' ls latest '$S' | grep -c '[ab]-[wj]' | grep -x 2"
	else
		equal "those are captured that have not another than the one in use ($mode)" "$(how | cut -d ' ' -f 1 | tr '\n' ' ')" "0 1 1 "
		is "that is stored with it ($mode)" sh -c "'$VARVE' ls latest '$S' | grep -c '[ab]-[wj]' | grep -x 1"
		rm "$S"/a-* && ln "$S/b-wal" "$S/a-wal"
		(while [ ! -e "$T/enough" ]; do touch "$S/b-wal"; done) &
		toucher=$!
		for i in 1 2 3 4 5; do v snapshot --json "$S"; exits 0 "the same WAL by two names, in use ($i)"; done
		touch "$T/enough" && wait "$toucher"
		release
	fi
done

# An application that has a WAL database open and idle can write afterwards.
rm -rf "$S"; mkdir "$S"
db make "$S/a" wal 4096 300
snap "$S"
is "another can write afterwards" sqlite3 "$S/a" "insert into t(v) values(1)"

# A hot journal.
rm -rf "$S"; mkdir "$S"
db make "$S/a" delete 4096 3000
sum=$(sha1sum <"$S/a")
hold "$S/a" hot
release
is "there is a hot journal" test -s "$S/a-journal"
unchanged "a hot journal" "$S/a" "$S"; exits 0 "a hot journal"
image "$S/a"
equal "it was played back, elsewhere" "$(sha1sum <"$T/image")" "$sum"
isnt "the journal is not stored" "$VARVE" cat latest "$S/a-journal"
# A WAL database is being copied over it: page 1 says so already.
db mode "$S/a" 2
unchanged "a hot journal, a header of WAL" "$S/a" "$S"; exits 0 "a hot journal, a header of WAL"
image "$S/a"
equal "that was played back, too" "$(sha1sum <"$T/image")" "$sum"

# One of a transaction over several databases: it counts while the super-journal is there.
of_several() {
	rm -rf "$S"; mkdir "$S"
	db make "$S/a" delete 4096 3000
	sum=$(sha1sum <"$S/a")
	hold "$S/a" hot
	release
	half=$(sha1sum <"$S/a")
	db super "$S/a" "$1"
}
for super in "$S/a-mj0123459AB" "$T/precious"; do
	of_several "$super"
	echo "of the user" >"$super"
	unchanged "a super-journal is there" "$S/a" "$S"; exits 0 "a super-journal is there"
	equal "and stays, whatever it is" "$(cat "$super")" "of the user"
	image "$S/a"
	equal "not committed: played back" "$(sha1sum <"$T/image")" "$sum"
done
of_several "$S/a-mj0123459AB"
unchanged "a super-journal is gone" "$S/a" "$S"; exits 0 "a super-journal is gone"
image "$S/a"
equal "committed: not played back" "$(sha1sum <"$T/image")" "$half"
# Where it should lie is not seen from here, or is another's.
mkdir "$T/data"
cp "$VARVE_KEY_FILE" "$T/data/a"
for super in "$T/volume/a-mj0123459AB" "$T/data/a-mj0123459AB" "$T/data/b-mj0123459AB" a-mj0123459AB; do
	of_several "$super"
	unchanged "a super-journal elsewhere" "$S/a" "$S"; exits 3 "a super-journal elsewhere"
	is "it is said" grep -q "'$S/a'.*unverified.*several databases" "$T/err"
	image "$S/a"
	is "stored as found" cmp "$T/image" "$S/a"
	is "with its journal" sh -c "'$VARVE' cat latest '$S/a-journal' | cmp - '$S/a-journal'"
done

# Kept by one process.
for mode in delete wal; do
	rm -rf "$S"; mkdir "$S"
	db make "$S/a" "$mode" 4096 300
	hold "$S/a" exclusive
	v snapshot --json "$S"; exits 3 "exclusively locked ($mode)"
	is "it is said ($mode)" grep -q "unverified" "$T/err"
	equal "not captured ($mode)" "$(how)" "0 0"
	image "$S/a"
	is "all parts are stored as found ($mode)" cmp "$S/a" "$T/image"
	[ "$mode" = delete ] || is "the WAL, too" sh -c "'$VARVE' cat latest '$S/a-wal' | cmp - '$S/a-wal'"
	[ "$mode" = wal ] || echo "no WAL" >"$S/a-wal"
	v snapshot "$S"; exits 3 "exclusively locked ($mode), a WAL beside it"
	is "that is said ($mode)" grep -q "unverified.*locked" "$T/err"
	release
done

# Read-only directory, ordinary user.
if is_root; then
	rm -rf "$S"; mkdir "$S"
	db make "$S/a" wal 4096 300
	db make "$S/b" delete 512 300
	cp "$VARVE" "$T/prog" && chmod 755 "$T/prog" "$T" "$S" && chmod o+x "$(dirname "$T")" && chmod 444 "$S/a" "$S/b" && chmod 555 "$S"
	mkdir "$T/home" && chown nobody "$T/home"
	as() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$T/home" TMPDIR="$T/home" VARVE_REPOSITORY="$T/home/repo" VARVE_KEY_FILE="$T/home/key" "$T/prog" "$@"; }
	run as init --key-file "$T/home/key"; exits 0 "init as nobody"
	run as snapshot --json "$S"; exits 0 "a read-only directory"
	equal "captured there" "$(how | tr '\n' ' ')" "1 1 1 1 "
	chmod 755 "$S"
fi

# Not what they seem.
rm -rf "$S"; mkdir "$S"
db make "$S/whole" wal 4096 3000
cp "$S/whole" "$S/cut" && truncate -s 500K "$S/cut"
{ printf 'SQLite format 3\0'; head -c 51184 /dev/urandom; } >"$S/magic"
{ head -c 100 "$S/whole"; head -c 51100 /dev/urandom; } >"$S/header"
head -c 4096 "$S/whole" >"$S/page"
: >"$S/empty"
printf 'SQLite format 3\0' >"$S/short"
{ cat "$S/whole"; head -c 100 /dev/urandom; } >"$S/tail"
v snapshot --json "$S"; exits 3 "damaged databases"
equal "two could not be captured" "$(field errors)" "$(grep -c unverified "$T/err")"
for f in cut magic header page empty short tail; do
	image "$S/$f"
	is "$f is stored as found" cmp "$T/image" "$S/$f"
done
is "the cut one is named" grep -q "'$S/cut'.*unverified" "$T/err"
isnt "the one with mere magic is a file" grep -q "'$S/magic'" "$T/err"

# Databases, however they look: no table, every other page size, a schema that would run something.
rm -rf "$S"; mkdir "$S"
sqlite3 "$S/bare" "create table t(x); drop table t; vacuum"
for page in 1024 2048 8192 16384 32768; do db make "$S/p-$page" wal "$page" 50; done
sqlite3 "$S/evil" "create table t(x); insert into t values(1); pragma writable_schema=on;
	update sqlite_schema set sql = 'create table t(x, check (load_extension(''$T/code.so'') is null), y as (writefile(''$T/ran'', x)))';
	insert into sqlite_schema values('trigger', 'r', 't', 0, 'create trigger r before insert on t begin nonsense end')" >/dev/null
(cd "$S" && sha1sum -- *) >"$T/sums"
unchanged "odd databases" "$S/evil" "$S"; exits 0 "odd databases"
equal "all captured" "$(how | sort | uniq -c | tr -s ' ')" " 7 1 1"
rm -rf "$T/back"
must restore "latest:$S" --target "$T/back"
is "they are what they were" sh -c "cd '$T/back' && sha1sum -c '$T/sums'"

# What lies behind the last page is in no image: it is kept, unless it is zeros, or pages that were left there.
rm -rf "$S"; mkdir "$S"
db make "$S/longer" delete 4096 300
cp "$S/longer" "$S/zeros"
cp "$S/longer" "$S/wal" && sqlite3 "$S/wal" "pragma journal_mode=wal" >/dev/null
head -c 40000 /dev/zero >>"$S/zeros"
for f in longer wal; do
	{ head -c 40000 /dev/zero; echo "it is mine"; head -c 1461 /dev/zero; } >>"$S/$f"
done
cp "$S/longer" "$S/pages" && head -c 3584 /dev/zero >>"$S/pages"
v snapshot --json "$S"; exits 3 "files that go on behind the database"
equal "which: those with content there" "$(field errors)" 2
equal "it is said why" "$(grep -c "'$S/\(longer\|wal\)'.*goes on behind the last page" "$T/err")" 2
for f in longer wal; do
	image "$S/$f"
	is "$f: stored as found" cmp "$T/image" "$S/$f"
done
for f in zeros pages; do
	image "$S/$f"
	equal "$f: the database" "$(db rows "$T/image")" "ok 300"
done

# Files that are called like what SQLite puts beside a database, and are nothing of the kind.
rm -rf "$S" "$T/back"; mkdir "$S"
db make "$S/a" wal 4096 300
db make "$S/b" persist 4096 300
db make "$S/c" wal 4096 300
for f in a-wal a-journal b-shm c-shm; do echo "notes in $f" >"$S/$f"; done
unchanged "other files with such names" "$S/a" "$S"; exits 0 "other files with such names"
equal "the databases are captured" "$(how | sort | uniq -c | tr -s ' ')" " 3 1 1"
for f in a-wal a-journal b-shm c-shm; do
	image "$S/$f"
	is "$f is stored" cmp "$T/image" "$S/$f"
done
isnt "a journal is not" "$VARVE" cat latest "$S/b-journal"

# Replaced, truncated, vacuumed while it is captured: a state that was, or it is said.
rm -rf "$S"; mkdir "$S"
db make "$T/one" wal 4096 20000
db make "$T/other" delete 1024 100
cp "$T/one" "$S/a"
(until [ -e "$T/enough" ]; do cp "$T/one" "$T/x" && mv "$T/x" "$S/a"; cp "$T/other" "$T/x" && mv "$T/x" "$S/a"; done) 2>/dev/null &
swapper=$!
bad=0
for _ in 1 2 3 4 5 6; do
	v snapshot "$S"
	if [ "$status" = 0 ]; then image "$S/a"; case $(db rows "$T/image") in "ok 20000" | "ok 100") ;; *) bad=1 ;; esac; fi
	[ "$status" = 0 ] || [ "$status" = 3 ] || bad=1
done
end_of_changes
equal "replaced all the time: one or the other" "$bad" 0
rm -f "$S"/*; cp "$T/one" "$S/a"
(until [ -e "$T/enough" ]; do truncate -s 100000 "$S/a"; cat "$T/one" >"$S/a"; done) 2>/dev/null &
swapper=$!
bad=0
for _ in 1 2 3 4; do
	v snapshot "$S"
	[ "$status" = 0 ] || [ "$status" = 3 ] || bad=$status
done
end_of_changes
equal "truncated all the time: an end in order" "$bad" 0
rm -f "$S"/*; cp "$T/one" "$S/a"
(until [ -e "$T/enough" ]; do sqlite3 -cmd '.timeout 2000' "$S/a" 'delete from t where id % 50 = 7; vacuum; insert into t(v) select randomblob(400) from t where id % 50 = 1' || true; done) >/dev/null 2>&1 &
swapper=$!
bad=0 captured=0 longest=0
for _ in 1 2 3 4 5 6; do
	begin=$SECONDS
	v snapshot "$S"
	[ $((SECONDS - begin)) -le $longest ] || longest=$((SECONDS - begin))
	# Locked for too long, or gone and there again all the time: stored as found, and said so.
	case $status in
	0) ;;
	3) grep -q "unverified.*keeps it locked\|unverified.*changes all the time\|unverified.*was replaced" "$T/err" || bad=1; continue ;;
	*) bad=1 ;;
	esac
	captured=1
	image "$S/a"
	case $(db rows "$T/image") in ok*) ;; *) bad=1 ;; esac
done
end_of_changes
equal "vacuumed all the time: captured at least once" "$captured" 1
equal "vacuumed all the time: a good image, or a reason" "$bad" 0
atmost "vacuumed all the time: seconds" $longest 60

# One that grows: chunks begin where the parent's do, and lie across the pieces in which pages come.
rm -rf "$S"; mkdir "$S"
sqlite3 "$S/grows" "pragma page_size=512; create table t(v); with recursive c(x) as (select 1 union all select x+1 from c limit 7000) insert into t select randomblob(900) from c" >/dev/null
snap "$S"
for n in 1 2 3; do
	sqlite3 "$S/grows" "update t set v = randomblob(900) where rowid % (500 * $n) = 3; with recursive c(x) as (select 1 union all select x+1 from c limit 1777) insert into t select randomblob(900) from c" >/dev/null
	snap "$S"
	is "grown $n times: identical" sh -c "'$VARVE' cat latest '$S/grows' | cmp - '$S/grows'"
	atmost "grown $n times: what is new" "$(field bytes_new)" $((4 << 20))
done

# One of 20 GiB of holes costs whoever makes it nothing: it is not read page by page.  In any case holes come back.
hollow() {
	rm -rf "$S" "$T/hollow"; mkdir "$S"
	"$PYTHON" - "$S/hollow" "$1" <<-'END'
		import os, sqlite3, struct, sys
		size = int(sys.argv[2])
		with sqlite3.connect(sys.argv[1]) as c:
		    c.execute("create table t(a)")
		c.close()
		os.truncate(sys.argv[1], size)
		with open(sys.argv[1], "r+b") as f:
		    change = f.read(100)[24:28]
		    for at, value in (28, struct.pack(">I", size >> 12)), (92, change):
		        f.seek(at)
		        f.write(value)
	END
	v snapshot --json "$S"
}
restored() {
	must restore "latest:$S" --target "$T/hollow"
	equal "its size" "$(stat -c %s "$T/hollow/hollow")" "$1"
	atmost "KiB that it takes" "$(du -k "$T/hollow/hollow" | cut -f1)" 1024
}
hollow $((20 << 30)); exits 3 "a database of holes"
is "it is told" grep -q "hollow.*holes" "$T/err" "$T/out"
restored $((20 << 30))
hollow $((64 << 20)); exits 0 "a smaller one"
is "is captured" grep -q '"captured":true' "$T/out"
restored $((64 << 20))
is "and the same" cmp "$S/hollow" "$T/hollow/hollow"

# The page with the lock bytes.
rm -rf "$S"; mkdir "$S"
sqlite3 "$S/big" "pragma page_size=65536; create table t(v); insert into t values(zeroblob(600000000)); insert into t values(zeroblob(600000000)); insert into t values('end')" >/dev/null
snap "$S"
equal "beyond 1 GiB: captured" "$(grep -c '"captured":true' "$T/out")" 1
is "beyond 1 GiB: identical" sh -c "'$VARVE' cat latest '$S/big' | cmp - '$S/big'"
finish
