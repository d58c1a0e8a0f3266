#!/bin/bash
# A pack is gone: verify names what it held, a restore brings all else, the next snapshot heals it, and verify is clean at once.
. "$(dirname "$0")/lib.sh"

kind() { od -An -tu4 -j12 -N4 "$1" | tr -d ' '; }
largest() {
	local f
	find "$VARVE_REPOSITORY/packs" -type f -printf '%s %p\n' | sort -rn | cut -d' ' -f2 >"$T/packs"
	while read -r f; do
		if [ "$(kind "$f")" = "$1" ]; then echo "$f"; break; fi
	done <"$T/packs"
}
fresh() {
	rm -rf "$T/r"
	cp -a "$T/repo" "$T/r"
	export VARVE_REPOSITORY=$T/r
}
says() { is "$1" grep -q -- "$2" "$T/out"; }
saysnot() { isnt "$1" grep -q -- "$2" "$T/out"; }

# clean NAME SPARE: verify is clean, whatever is read, and notes so many places that nobody needs.
clean() {
	local how
	for how in "" --read; do
		# shellcheck disable=SC2086
		v verify $how --json; exits 0 "$1: verify $how"
		equal "nothing is damaged" "$(field damaged)" 0
		equal "what nobody needs is noted" "$(field damaged_spare)" "$2"
		equal "it is not among the packs" "$(field packs)" "$(find "$VARVE_REPOSITORY/packs" -type f | wc -l)"
		[ -z "$how" ] || equal "what is left is read to the end" "$(field packs)" "$(field packs_read)"
		[ -z "$how" ] || equal "each chunk once" "$(field chunks)" "$(field chunks_read)"
	done
	v verify
	[ "$2" = 0 ] || says "as text" "^note: $2 packs\? or frames\? .* damaged or missing, but nothing in .* is needed"
	says "and that it is clean" "^no damage found"
	v verify --read=1/2 --json; exits 0 "$1: a slice"
	must list --json; isnt "every snapshot is known to be right" grep -q '"verified":null' "$T/out"
}
restored() {
	rm -rf "$T/back"
	v restore latest:"$T/src" --target "$T/back"; exits 0 "$1: restore"
	is "$1: the tree is as it was" diff -r "$T/src" "$T/back"
}

mkdir -p "$T/src/dir/deep" "$T/src/notes"
noise "$T/src/big" 1500000 spare
noise "$T/src/dir/other" 90000 other
for i in $(seq 1 40); do echo "file $i" >"$T/src/dir/deep/f$i"; done
init_repo
snap "$T/src"
# A pack of its own, of a directory that the tests leave alone.
noise "$T/src/notes/far" 70000 far
snap "$T/src"
must prune

for k in 1 2; do
	fresh
	pack=$(largest $k)
	rm "$pack"
	v verify; exits 4 "kind $k: a pack is deleted"
	says "it is named" "$(basename "$pack"): the pack is missing"
	says "what it held is named" "needed by: "
	says "with the snapshots" "snapshots: [0-9a-f]\{8\}"
	rm -rf "$T/back"
	v restore latest:"$T/src" --target "$T/back"; exits 4 "kind $k: restore brings the rest"
	[ $k = 2 ] || is "what was elsewhere is there" cmp "$T/src/notes/far" "$T/back/notes/far"
	snap "$T/src"
	# The first snapshot's own directories are gone for good, of kind 2: it is not the source any more.
	if [ $k = 2 ]; then
		v verify --json; exits 4 "what only an old snapshot had stays lost"
		v verify latest; exits 0 "the new one is whole"
	else
		clean "an unchanged source healed it" 1
		must prune
		clean "and prune forgot it" 0
	fi
	restored "kind $k"
done

# Of one snapshot: directories come back as well, if nothing has changed.
rm -rf "$T/repo" "$T/key"
export VARVE_REPOSITORY=$T/repo
init_repo
snap "$T/src"
for settle in no yes; do
	[ $settle = no ] || { export VARVE_REPOSITORY=$T/repo; must prune; }
	for k in 1 2; do
		fresh
		rm "$(largest $k)"
		v verify; exits 4 "kind $k, settled $settle: a pack is deleted"
		snap "$T/src"
		clean "kind $k, settled $settle, unchanged" 1
		restored "kind $k, settled $settle"
		v verify latest; exits 0 "one snapshot alone"
		must prune
		clean "pruned" 0
	done
done

# A source that grew: all that the old snapshot had is there again, but a directory that is not as it was.
fresh
rm "$(largest 1)"
echo new >"$T/src/dir/deep/new"
snap "$T/src"
clean "a changed source healed the data" 1
restored "changed"
fresh
pack=$(largest 2)
rm "$pack"
echo new >"$T/src/dir/deep/new"
snap "$T/src"
last=$(field snapshot)
v verify; exits 4 "an old directory cannot come back"
says "its pack is named" "$(basename "$pack"): the pack is missing"
says "the old snapshot is" "snapshots: "
saysnot "the new one is not" "snapshots:.*${last:0:8}"
v verify "$last"; exits 0 "the new one is whole"
restored "changed"
v forget "$(ls -tr "$T/r/snapshots" | head -1)"; exits 0 "giving up the old one"
must prune
# What was beneath lost directories nobody can uncount but by counting anew.
must repair index
clean "then all is right" 0

# A pack that was cut, not deleted; and one that is put back later: both copies count.
fresh
pack=$(largest 1)
cp "$pack" "$T/pack"
truncate -s 1000000 "$pack"
v verify; exits 4 "a pack is cut"
snap "$T/src"
v verify --json; exits 0 "healed"
equal "the cut pack is noted" "$(field damaged_spare)" 1
cp "$T/pack" "$pack"
v verify --read --json; exits 0 "the pack is back"
equal "nothing to note" "$(field damaged_spare)" 0

# Differences: a base that only lost copies stood on is not needed either.
export VARVE_REPOSITORY=$T/base
rm -rf "$T/src"
mkdir "$T/src"
must init
sqlite3 "$T/src/app.db" "create table t(id integer primary key, x); with recursive c(i) as (select 1 union all select i + 1 from c
	where i < 3000) insert into t select i, hex(randomblob(100)) from c"
snap "$T/src"
old=$(field snapshot)
base=$(largest 1)
sqlite3 "$T/src/app.db" "update t set x = hex(randomblob(100)) where id % 397 = 5"
snap "$T/src"
must forget "$old"
must prune --max-unused 100%
if [ -e "$base" ]; then
	rm "$base"
	v verify; exits 4 "the bases are gone"
	snap "$T/src"
	clean "stored anew, they are not needed" 1
	must prune
	clean "and pruned" 0
else
	skip "bases that only serve" "prune rewrote them"
fi
finish
