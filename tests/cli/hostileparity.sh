#!/bin/bash
# What the storage puts under parity/ and in place of objects: scrub and the repairs name it, go on, and take nothing from it (PA-1,
# PA-5, GN-4).
. "$(dirname "$0")/lib.sh"

mkdir "$T/src" "$T/outside"
for i in $(seq 4); do noise "$T/src/f$i" 20000 "$i"; done
echo precious >"$T/outside/precious"
init_repo
snap "$T/src"
echo more >"$T/src/new"
snap "$T/src"
cp -a "$T/repo" "$T/good"
# A sanitizer's shadow needs terabytes of addresses.
limit='ulimit -v 3000000; exec "$0" scrub --repair'
[[ ${BUILD:-} != *san ]] || limit='exec "$0" scrub --repair'
again() { rm -rf "$T/repo" "$T/back"; cp -a "$T/good" "$T/repo"; }
objects() { (cd "$1" && find varve-repo keys index snapshots forgotten packs -type f -exec sha256sum {} + | sort); }
same() { is "$1: the objects are as they were" diff <(objects "$T/repo") <(objects "$T/good"); }
side() { find "$T/repo/parity/$1" -type f | sort | sed -n "${2:-1}p"; }

# Longer than any memory; with a header that speaks of more.
for f in $(side keys) $(side index) $(side snapshots); do truncate -s 1T "$f"; done
run bash -c "$limit" "$VARVE"
exits 4 "sidecars of a terabyte"
equal "every one of them is named" "$(grep -c '^parity/[^ ]*: is damaged$' "$T/out")" 3
same "long sidecars"
must repair parity
must scrub
again
"$PYTHON" - "$(side keys)" "$(side index)" "$(side snapshots)" <<'PY'
import struct, sys
for path in sys.argv[1:]:
    with open(path, "r+b") as f:
        f.seek(96)
        f.write(struct.pack("<QIII", 1 << 40, 1 << 20, 128, 32))
PY
run bash -c "$limit" "$VARVE"
exits 0 "sidecars of a huge object"
same "huge counts"

# Of one object under another's name.
again
cp "$(side snapshots 1)" "$T/one"
cp "$(side snapshots 2)" "$(side snapshots 1)"
cp "$T/one" "$(side snapshots 2)"
cp "$(side keys)" "$(side index)"
v scrub --repair
exits 4 "sidecars of other objects"
same "sidecars of other objects"

# Links, to anywhere, in place of sidecars and of objects.
again
name=$(basename "$(side snapshots)")
ln -sf "$T/outside/precious" "$T/repo/parity/snapshots/$name"
pack=$(find "$T/repo/packs" -type f -printf 'packs/%P\n' | sort | sed -n 1p)
ln -sf "$T/outside/precious" "$T/repo/$pack"
cat "$(side index)" >"$T/keep"
truncate -s -1 "$(side index)"
v scrub
exits 4 "links in the repository"
is "scrub names the object" grep -q "^$pack: is not a regular file" "$T/out"
is "and the sidecar" grep -q "^parity/snapshots/$name: is damaged" "$T/out"
is "and what comes behind" grep -q '^parity/index/[^ ]*: is damaged' "$T/out"
v repair packs
isnt "a repair does not stop there" grep -q 'symbolic links' "$T/err"
equal "nothing outside was touched" "$(cat "$T/outside/precious") $(ls "$T/outside")" "precious precious"
v repair parity
is "a link is no sidecar" test ! -L "$T/repo/parity/snapshots/$name"

# A directory that is a link is no damaged object: nothing is repaired around it.
again
mv "$T/repo/packs" "$T/outside/packs"
ln -s "$T/outside/packs" "$T/repo/packs"
for what in index packs snapshots; do
	v repair $what
	exits 1 "repair $what, packs/ being a link"
done
is "the index is as it was" diff -r "$T/repo/index" "$T/good/index"
finish
