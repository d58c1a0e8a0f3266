#!/bin/bash
# scrub: without a key it finds every kind of damage that can be found without one, and says where (PK-1, RH-1).
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
for i in $(seq 1 20); do noise "$T/src/f$i" 40000 "f $i"; done
noise "$T/src/big" 3000000 big
init_repo
snap "$T/src"
echo more >"$T/src/f1"
snap "$T/src"
must forget latest
unset VARVE_KEY_FILE

must scrub --json
equal "whole" "$(field ok) $(field damaged)" "true 0"
equal "every object is looked at" "$(field objects)" \
	"$(find "$T/repo" -path "$T/repo/parity" -prune -o -type f ! -name locks ! -name reserve -print | wc -l)"
atmost "it reads all of the packs" $(($(find "$T/repo/packs" -type f -printf '%s\n' | awk '{s += $1} END {print s}') - $(field bytes_read))) 0
must scrub
is "says so" grep -q 'no damage found' "$T/out"

# flip FILE OFFSET: one bit.
flip() {
	"$PYTHON" -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1); f.seek(int(sys.argv[2])); f.write(bytes([b[0] ^ 4]))' "$1" "$2"
}
# found NAME WHAT: scrub says exit 4, and a line with WHAT in it.
found() {
	v scrub
	exits 4 "$1"
	is "$1: says what" grep -qE -- "$2" "$T/out"
}
# What can be found without parity; with it: parity.sh.
rm -rf "$T/repo/parity"
cp -a "$T/repo" "$T/good"
again() { rm -rf "$T/repo"; cp -a "$T/good" "$T/repo"; }

pack=$(find "$T/repo/packs" -type f -size +2000k -printf 'packs/%P\n' | head -n 1)
flip "$T/repo/$pack" 70000
found "a flipped bit" "^$pack: has a bad block: bytes 65536 to 131071\$"
flip "$T/repo/$pack" 140000
flip "$T/repo/$pack" 300000
v scrub --json
equal "three blocks of one object" "$(field damaged) $(field bad_blocks) $(field ok)" "1 3 false"
is "a run of two" grep -q '"offset":65536,"length":131072' "$T/out"
is "and one alone" grep -q '"offset":262144,"length":65536' "$T/out"
again
flip "$T/repo/$pack" $(($(stat -c %s "$T/repo/$pack") - 30))
found "a bit of the footer" "^$pack: has another footer"
again
truncate -s -1 "$T/repo/$pack"
found "a byte cut off" "^$pack: has another footer"
again
: >"$T/repo/$pack"
found "an empty pack" "^$pack: has another footer"
again
rm "$T/repo/$pack"
found "a missing pack" "^$pack: is missing"
again
small=$(find "$T/repo/packs" -type f -size -2000k -printf 'packs/%P\n' | head -n 1)
cp "$T/repo/$small" "$T/repo/$pack"
found "a pack in another's place" "^$pack: has another footer"
again
flip "$T/repo/varve-repo" 20
found "the header" "^varve-repo: has the wrong checksum"
again
rm "$T/repo/varve-repo"
found "no header" "^varve-repo: is missing"
again
slot=$(ls "$T/repo/keys")
flip "$T/repo/keys/$slot" 33
found "a slot under another name" "^keys/$slot: "
again
record=$(ls "$T/repo/snapshots")
truncate -s 100 "$T/repo/snapshots/$record"
found "half a record" "^snapshots/$record: is no snapshot record"
again
segment=$(ls "$T/repo/index" | head -n 1)
truncate -s -3 "$T/repo/index/$segment"
found "a segment cut" "^index/$segment: has another length"
again
rm -r "$T/repo/index"
found "no index at all" "^index: is missing"
again
rm "$T/repo/$pack"
mkdir "$T/repo/$pack"
found "a directory in a pack's place" "^$pack: is not a regular file"
again

rm "$T/repo/locks"
v scrub
exits 0 "a copy without a lock file"
again
chmod -R a-w "$T/repo"
v scrub
exits 0 "a read-only copy"
chmod -R u+w "$T/repo"
mkdir "$T/empty"
v scrub -r "$T/empty"
exits 10 "an empty directory"
v scrub -r "$T/none"
exits 10 "no directory"
v scrub extra
exits 2 "an operand"
finish
