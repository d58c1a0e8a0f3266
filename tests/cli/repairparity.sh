#!/bin/bash
# What has parity is not given up: every repair that could lose something takes the copies first, and keeps those it cannot use.
. "$(dirname "$0")/lib.sh"

bit() { "$PYTHON" -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1); f.seek(int(sys.argv[2])); f.write(bytes([b[0] ^ 1]))' "$@"; }
mkdir "$T/src"
for i in $(seq 8); do noise "$T/src/f$i" 30000 "$i"; done
must init --key-file "$VARVE_KEY_FILE" --parity
snap "$T/src"
echo more >"$T/src/new"
snap "$T/src"
cp -a "$T/repo" "$T/good"
again() { rm -rf "$T/repo" "$T/back"; cp -a "$T/good" "$T/repo"; }
whole() {
	must restore "latest:$T/src" --target "$T/back"
	is "$1: all of it comes back" diff -r "$T/src" "$T/back"
	must verify --read
}
large=$(find "$T/repo/packs" -type f -printf '%s packs/%P\n' | sort -n | tail -n 1 | cut -d' ' -f2)
name=${large##*/}

# A damaged pack.
bit "$T/repo/$large" 70000
must repair packs
is "the pack is mended, not taken apart" grep -q "^$large: damaged; mended from its parity\$" "$T/out"
is "to the very bytes" cmp "$T/repo/$large" "$T/good/$large"
whole "repair packs"
again
bit "$T/repo/$large" 70000
must repair packs --json
equal "in JSON" "$(field mended) $(field damaged) $(field ok)" "1 1 true"

# Missing packs of all kinds, which have copies.
again
find "$T/repo/packs" -type f -size -60k -delete
must repair packs
is "missing packs are back" grep -q '^packs/.*: mended from its parity$' "$T/out"
whole "repair packs, packs missing"
again
find "$T/repo/packs" -type f -size -60k -delete
must repair index
whole "repair index, packs missing"
again
find "$T/repo/packs" -type f -size -60k -delete
must repair snapshots
equal "no snapshot was given up" "$(ls "$T/repo/snapshots")" "$(ls "$T/good/snapshots")"
whole "repair snapshots, packs missing"

# Damaged records.
again
for f in "$T/repo/snapshots/"*; do bit "$f" 300; done
must repair snapshots
is "no record was given up" diff -r "$T/repo/snapshots" "$T/good/snapshots"
whole "repair snapshots, records damaged"

# More than parity can bring back: the sidecar is kept with the pack.
again
for i in 0 1 2 3 4 5; do [ "$((i * 65536 + 9000))" -ge "$(stat -c %s "$T/repo/$large")" ] || bit "$T/repo/$large" $((i * 65536 + 9000)); done
bit "$T/repo/parity/${name:0:2}/$name" 4000
bit "$T/repo/parity/${name:0:2}/$name" 70000
cp "$T/repo/parity/${name:0:2}/$name" "$T/side"
v repair packs
exits 4 "more than can be mended"
is "the sidecar is kept" cmp "$T/repo/damaged/parity-$name" "$T/side"

# A copy is still there when the index was made without its pack; giving the others parity does not remove it.
again
small=$(find "$T/repo/packs" -type f -size -60k -printf '%P\n' | sort | sed -n 1p)
mkdir "$T/hidden"
mv "$T/repo/parity/$small" "$T/hidden/side"
rm "$T/repo/packs/$small"
v repair index
mv "$T/hidden/side" "$T/repo/parity/$small"
must repair parity
is "it is kept" test -e "$T/repo/damaged/parity-${small##*/}" -o -e "$T/repo/parity/$small"

# Not even the directory.
again
rm -rf "$T/repo/index"
v scrub
exits 4 "scrub without an index"
must repair index
whole "repair index without a directory"

# A slot whose secret is not the one given is not proven: where it and its copy differ, the copy stays.
again
noise "$T/other" 32 other
chmod 600 "$T/other"
mine=$(ls "$T/repo/keys")
must key add --new-key-file "$T/other"
theirs=$(ls "$T/repo/keys" | grep -v "$mine")
cp -a "$T/repo" "$T/two"
bit "$T/repo/keys/$theirs" 200
bit "$T/repo/parity/keys/$theirs" 125
cp "$T/repo/parity/keys/$theirs" "$T/side"
v repair parity
exits 4 "a slot and its copy contradict each other"
is "it is said" grep -q "^varve: keys/$theirs: the slot and its sidecar contradict each other" "$T/err"
is "the copy is kept" cmp "$T/repo/parity/keys/$theirs" "$T/side"
cp "$T/two/keys/$theirs" "$T/repo/keys/$theirs"
must repair parity
is "what is left of the copy agrees: it is made anew" cmp "$T/repo/parity/keys/$theirs" "$T/two/parity/keys/$theirs"
size=$(stat -c %s "$T/side")
bit "$T/repo/parity/keys/$theirs" 125
bit "$T/repo/parity/keys/$theirs" $((size - 1))
v repair parity
exits 4 "nothing is left of the copy that agrees"
must repair parity --key-file "$T/other"
is "the slot's own secret proves it" cmp "$T/repo/parity/keys/$theirs" "$T/two/parity/keys/$theirs"
rm "$T/repo/parity/keys/$theirs"
must repair parity
is "one that is not there is made" cmp "$T/repo/parity/keys/$theirs" "$T/two/parity/keys/$theirs"

# An index without a copy is proven to its last byte: 70 small files make a table whose second block has nothing but extras.
mkdir "$T/many"
for i in $(seq 70); do echo "$i" >"$T/many/$i"; done
rm -rf "$T/repo"
cp "$T/key" "$T/key.first"
rm "$T/key"
init_repo
snap "$T/many"
must prune
must repair index
table=index/$(ls "$T/repo/index" | grep -x '[0-9a-f]\{16\}')
cp "$T/repo/$table" "$T/table"
for back in 2 100 200; do
	rm -f "$T/repo/parity/$table"
	cp "$T/table" "$T/repo/$table"
	bit "$T/repo/$table" $(($(stat -c %s "$T/table") - back))
	v repair parity
	exits 4 "a table that is damaged $back bytes from its end"
	isnt "gets no copy" test -e "$T/repo/parity/$table"
done
mv "$T/key.first" "$T/key"
again

# A pack that this user may not read is not damaged.
if is_root && command -v setpriv >/dev/null; then
	again
	mkdir "$T/home"
	cp "$VARVE" "$T/home/varve"
	cp "$T/key" "$T/home/key"
	mv "$T/repo" "$T/home/repo"
	chown -R nobody "$T/home"
	chmod 711 "$T"
	chmod o+x "$(dirname "$T")" 2>/dev/null || true
	chown root "$T/home/repo/$large"
	as() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$T/home" VARVE_REPOSITORY="$T/home/repo" VARVE_KEY_FILE="$T/home/key" "$T/home/varve" "$@"; }
	for what in index packs snapshots; do
		run as repair $what
		exits 1 "repair $what without the right to read"
		is "it says so" grep -q 'Permission denied' "$T/err"
	done
	mv "$T/home/repo" "$T/repo"
	is "nothing is set aside" test -e "$T/repo/$large" -a ! -e "$T/repo/damaged/packs-$name"
	whole "who may read"
else
	skip "a pack that may not be read" "needs root"
fi
finish
