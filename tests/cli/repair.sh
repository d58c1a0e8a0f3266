#!/bin/bash
# repair index: the packs and the records are enough; repair parity: added, removed, made anew (IX-7, PA-4, PA-6).
. "$(dirname "$0")/lib.sh"

checked() {
	run "$PYTHON" "$TOP/tools/reader.py" "$T/repo" --key-file "$T/key" check --scrub
	exits 0 "$1"
}
counts() { "$VARVE" stats --json | "$PYTHON" -c 'import json, sys
s = json.load(sys.stdin)
print(s["packs"], s["pack_bytes"], s["live_bytes"], s["bytes_total"])'; }
mkdir -p "$T/src/dir"
for i in $(seq 1 80); do noise "$T/src/dir/f$i" 3000 "f $i"; done
noise "$T/src/big" 1500000 big
init_repo
snap "$T/src"
for i in 1 2 3; do
	echo "$i" >>"$T/src/dir/f$i"
	snap "$T/src"
done
must forget latest~1
must prune
must forget latest~1
echo 5 >"$T/src/dir/f5"
snap "$T/src"
must repair index --json
equal "a whole one made anew" "$(field ok) $(field counted) $(field snapshots)" "true true 4"
before=$(counts)
checked "counts of it"

rm -rf "$T/repo/index" "$T/repo/parity/index" "$T/repo/damaged"
must repair index
is "it says what it found" grep -q '^the index is made anew: ' "$T/out"
checked "counts without any index"
v verify --read
exits 0 "verify is clean"
equal "the same numbers" "$(counts)" "$before"
must restore "latest:$T/src" --target "$T/out1"
is "everything comes back" diff -r "$T/src" "$T/out1"
must undelete "$("$VARVE" list --forgotten --json | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')"
snap "$T/src"
equal "nothing is stored twice" "$(field bytes_new)" 0
must prune
checked "after prune"

# An index of lies: one bit of each file; the files are kept.
for f in "$T/repo/index/"*; do
	"$PYTHON" -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(300); b = f.read(1); f.seek(300); f.write(bytes([b[0] ^ 1]))' "$f"
done
rm -rf "$T/repo/parity/index"
v restore latest --target "$T/out2"
exits 4 "a damaged index"
isnt "nothing is said to be restored" grep -q restored "$T/out"
files=$(ls "$T/repo/index" | wc -l)
must repair index
equal "the damaged files are kept" "$(ls "$T/repo/damaged" | wc -l)" "$files"
checked "counts after that"

# A crash between link and unlink left a record in both directories.
id=$(ls "$T/repo/snapshots" | head -n 1)
cp "$T/repo/snapshots/$id" "$T/repo/forgotten/$id"
must repair index
checked "a record in both directories"
rm "$T/repo/forgotten/$id"

# A record that cannot be read: what only it holds would be garbage.
id=$(ls "$T/repo/snapshots" | head -n 1)
cp "$T/repo/snapshots/$id" "$T/record"
truncate -s -1 "$T/repo/snapshots/$id"
mv "$T/repo/parity/snapshots/$id" "$T/side"
ls -l "$T/repo/index" >"$T/list1"
v repair index
exits 4 "a damaged record"
is "is named" grep -q "snapshots/$id" "$T/err"
ls -l "$T/repo/index" >"$T/list2"
is "nothing was changed" cmp "$T/list1" "$T/list2"
mv "$T/side" "$T/repo/parity/snapshots/$id"
must scrub --repair
is "it has a copy" cmp "$T/record" "$T/repo/snapshots/$id"
must repair index
must prune

# A prune leaves dead differences in a pack that lives, without the base that died with them.
export VARVE_REPOSITORY=$T/stranded
mkdir "$T/few"
must init --key-file "$VARVE_KEY_FILE"
noise "$T/few/noise" 300000 doc
base64 "$T/few/noise" >"$T/few/doc"
rm "$T/few/noise"
snap "$T/few"
sed -i '5s/^./%/' "$T/few/doc"
noise "$T/few/big" 3000000 other
snap "$T/few"
rm "$T/few/doc"
snap "$T/few"
must forget latest~1 latest~2
must prune --max-unused 50%
must repair index --json
is "a difference without its base ($(field stranded))" test "$(field stranded)" -ge 1
equal "that nobody needs is no damage" "$(field ok)" true
must repair packs
export VARVE_REPOSITORY=$T/repo

# Parity.
packs() { find "$T/repo/packs" -type f | wc -l; }
sides() { find "$T/repo/parity/"?? -type f | wc -l; }
meta=$(sides)
must repair parity --data --json
equal "all packs have it" "$(sides) $(field ok)" "$(packs) true"
equal "made for data packs" "$(field made)" $(($(packs) - meta))
must repair parity --json
equal "nothing to do" "$(field made) $(field removed) $(field kept)" "0 0 $(field objects)"
noise "$T/src/new" 100000 new
snap "$T/src"
equal "new packs get it" "$(sides)" "$(packs)"
must repair parity --parity-layout 2/8/128K
is "another shape" test -e "$T/repo/parity/data-2-8-131072"
isnt "instead of the old one" test -e "$T/repo/parity/data-4-128-65536"
checked "the second reader makes the same"
must repair parity --none
atmost "removed" "$(($(sides) - meta))" 1
rm -rf "$T/repo/parity"
must scrub
must repair parity --json
equal "everything again" "$(field kept) $(field damaged)" "0 0"
for f in $(find "$T/repo/parity/index" "$T/repo/parity/keys" "$T/repo/parity/snapshots" -type f); do truncate -s -1 "$f"; done
v scrub --repair
exits 4 "without the key nobody says which is right"
must repair parity
must scrub
checked "with it"
pack=$(find "$T/repo/packs" -type f -size +1000k -printf 'packs/%P\n' | head -n 1)
printf xxxxxxxx | dd of="$T/repo/$pack" bs=1 seek=5000 conv=notrunc status=none
v repair parity --data
exits 4 "a damaged pack gets no parity"
is "it is named" grep -q "$pack" "$T/err"
v repair nothing
exits 2 "an unknown thing"
v repair
exits 2 "nothing at all"
v repair index --data
exits 2 "an option of another"
v repair parity --data --none
exits 2 "both"
finish
