#!/bin/bash
# verify: clean repositories are clean, and every kind of damage is found and named with what needs it.
. "$(dirname "$0")/lib.sh"

kind() { od -An -tu4 -j12 -N4 "$1" | tr -d ' '; }
# The largest pack of a kind (1 data, 2 nodes) in the repository at hand.
largest() {
	local f
	find "$VARVE_REPOSITORY/packs" -type f -printf '%s %p\n' | sort -rn | cut -d' ' -f2 | while read -r f; do
		if [ "$(kind "$f")" = "$1" ]; then
			echo "$f"
			break
		fi
	done
}
scratch() {
	rm -rf "$T/r"
	cp -a "$T/repo" "$T/r"
	export VARVE_REPOSITORY=$T/r
}
spoil() { printf '\xa5\x5a\xa5\x5a' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
# names NAME PATTERN: in the last output.
names() { is "$1" grep -q -- "$2" "$T/out"; }
namesnot() { isnt "$1" grep -q -- "$2" "$T/out"; }

mkdir -p "$T/src/dir/deep"
noise "$T/src/big" 3000000 verify
noise "$T/src/dir/other" 90000 other
for i in $(seq 1 60); do echo "file $i" >"$T/src/dir/deep/f$i"; done
sqlite3 "$T/src/app.db" "create table t(id integer primary key, x); with recursive c(i) as (select 1 union all select i + 1 from c
	where i < 3000) insert into t select i, hex(randomblob(30)) from c"
init_repo
v verify; exits 0 "an empty repository"
for i in 1 2 3 4; do
	sqlite3 "$T/src/app.db" "update t set x = hex(randomblob(30)) where id % 97 = $i"
	echo "$i" >>"$T/src/dir/deep/f$i"
	snap "$T/src"
done
v verify --json; exits 0 "verify"
equal "ok" "$(field ok)" true
equal "snapshots" "$(field snapshots)" 4
equal "damaged" "$(field damaged)" 0
v check --read --json; exits 0 "check is verify"
equal "every chunk is read once" "$(field chunks)" "$(field chunks_read)"
equal "every pack is read to its end" "$(field packs)" "$(field packs_read)"
total=$(field chunks)
v verify --read latest --json; exits 0 "verify of one snapshot"
atmost "which takes fewer chunks" "$(field chunks_read)" $((total - 1))
v verify --read 'latest~1' latest; exits 0 "verify of two"
v verify latest:/tmp; exits 2 "a part of a snapshot"
v verify --host nobody; exits 2 "a filter without a snapshot"
v verify 00000000; exits 1 "a snapshot that is not there"
# Forgotten, settled, rewritten: still every count is right.
must forget 'latest~1'
v verify --read; exits 0 "with a forgotten snapshot"
must prune
v verify --read --json; exits 0 "after prune"
equal "no count too high" "$(field counted_high)" 0
snap "$T/src"
v verify --read; exits 0 "with a segment on top"
must prune
cp "$(largest 1)" "$T/pack"

# What was verified when (VF-2, VF-3).
must list --json; isnt "list says since when" grep -q '"verified":null' "$T/out"
must list --verified; is "as text, too" grep -q verified "$T/out"
must stats --json; isnt "stats as well" [ "$(field verified)" = null ]
snap "$T/src/dir"
must stats --json; equal "a new snapshot was never verified" "$(field verified)" null
v verify --read=1% --json; exits 0 "a slice"
must stats --json; isnt "takes what was never read first: the new one is known, too" [ "$(field verified)" = null ]
v verify --read-older-than 1h --json; exits 0 "what was not read for an hour"
equal "nothing but directories" "$(field chunks_read)" "$(v verify --json; field chunks_read)"
equal "one object is left" "$(ls "$T/repo/verified" | wc -l)" 1
v verify --read=0%; exits 2 "a share of nothing"
v verify --read=5; exits 2 "no share"
v verify --read=3/2; exits 2 "more than all"
v verify --read=1/2 latest; exits 2 "a share of one snapshot"
for f in "$T/repo/verified/"*; do printf x | dd of="$f" bs=1 seek=170 conv=notrunc status=none; done
must stats --json; equal "a damaged one counts for nothing (VF-1)" "$(field verified)" null
v verify --read; exits 0 "and is replaced"
equal "one object again" "$(ls "$T/repo/verified" | wc -l)" 1
must forget "$(ls -t "$T/repo/snapshots" | head -1)"
must prune

# Content: only --read sees it.
scratch
pack=$(largest 1)
spoil "$pack" 1500000
v verify; exits 0 "without --read content is not looked at"
v verify --read; exits 4 "a spoiled frame (FR-1)"
names "the pack is named" "packs/.*/$(basename "$pack"), frame [0-9]*, bytes"
names "the file is named" "needed by: $T/src/big"
namesnot "no other file is" "needed by: $T/src/dir/other"
names "what to do" "^what to do: "
v verify --read --json; exits 4 "the same as JSON"
equal "ok is false" "$(field ok)" false
equal "one place" "$(field damaged)" 1
v verify --read latest; exits 4 "the snapshot that needs it"

# The pack is missing, cut, or another one.
scratch
pack=$(largest 1)
rm "$pack"
v verify; exits 4 "a missing pack"
names "it is named" "$(basename "$pack"): the pack is missing"
names "so are files" "needed by: $T/src/big"
names "and snapshots" "snapshots: [0-9a-f]\{8\}"
head -c 2000000 "$T/pack" >"$pack"
v verify; exits 4 "a cut pack"
cp "$(largest 2)" "$pack"
v verify; exits 4 "another pack in its place (PK-1)"
scratch
pack=$(largest 1)
spoil "$pack" 100; v verify; exits 4 "a spoiled pack header (PK-3)"
cp "$T/pack" "$pack"
spoil "$pack" $(($(stat -c %s "$pack") - 60)); v verify; exits 4 "a spoiled footer (PK-1)"

# Directories.
scratch
pack=$(largest 2)
spoil "$pack" 300
v verify; exits 4 "spoiled directories"
names "a directory or file is named" "needed by: /"
rm "$pack"
v verify; exits 4 "directories missing"
scratch

# Records: spoiled, gone, and one that was collected already.
record=$(ls -t "$T/r/snapshots/"* | tail -1)
spoil "$record" 200
v verify; exits 4 "a spoiled record (SR-1)"
names "it is named" "snapshots/$(basename "$record")"
scratch
record=$(ls -t "$T/r/snapshots/"* | tail -1)
rm "$record"
v verify; exits 4 "a record that is gone although nobody collected it"
names "its root is named" "tree [0-9a-f]*: the index counts 1 snapshot"
scratch
snap "$T/src/dir"; snap "$T/src/dir"
again=$(field snapshot)
cp "$T/r/snapshots/$again" "$T/record"
must forget "$again"
must prune
v verify; exits 0 "one of two equal snapshots collected"
cp "$T/record" "$T/r/snapshots/$again"
v verify; exits 4 "its record comes back: counted too low (IX-7)"
names "a count is named" "too few of it"
rm "$T/r/snapshots/$again"
must prune
last=$(ls -t "$T/r/snapshots/"* | head -1)
cp "$last" "$T/record"
must forget "$(basename "$last")"
must prune
cp "$T/record" "$last"
v verify; exits 4 "the record of a snapshot that is collected"
names "its tree is named" "is not in the index"

# Index and key slots.
scratch
for f in "$T/r/index/"*; do table=$f; done
spoil "$table" 300
v verify; exits 4 "a spoiled table (IX-3)"
names "it is named" "index/$(basename "$table")"
scratch
printf 'secret' >"$T/secret"
must key add --new-password-file "$T/secret"
slot=$(ls -t "$T/r/keys/"* | head -1)
spoil "$slot" 8
v verify; exits 4 "a spoiled key slot (KS-2)"
names "it is named" "keys/$(basename "$slot")"
scratch
find "$T/r/packs" -name "$(basename "$(largest 1)")" -exec sh -c 'cp "$1" "${1%????}ffff"' - {} \;
v verify --json; exits 0 "a pack that nobody names"
equal "it is noted" "$(field leftovers)" 1

# Of many records each is opened, though a table has copies of them (IX-10).
export VARVE_REPOSITORY=$T/many
must init
mkdir "$T/small"
for i in $(seq 1 68); do
	echo "$i" >"$T/small/a"
	must snapshot "$T/small"
done
must prune
v verify --json; exits 0 "many snapshots"
equal "all of them" "$(field snapshots)" 68
for record in "$T/many/snapshots/"*; do break; done
spoil "$record" 200
v verify; exits 4 "one record of many spoiled"
names "it is named" "snapshots/$(basename "$record")"
finish
