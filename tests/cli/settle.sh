#!/bin/bash
# Many snapshots: segments are folded into tables, counts stay exact, leftovers of dead sessions go, strangers stay
# (GN-4, IX-6, IX-7, PB-4, PB-5, PB-6).
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/src/dir"
for i in $(seq 1 60); do echo "file $i" >"$T/src/dir/f$i"; done
init_repo
segments() { find "$T/repo/index" -regex '.*/[0-9a-f]+-[0-9a-f]+' | wc -l; }
tables() { find "$T/repo/index" -regex '.*/[0-9a-f][0-9a-f]*' ! -name '*-*' | wc -l; }
checked() {
	run "$PYTHON" "$TOP/tools/reader.py" "$T/repo" --key-file "$T/key" check
	exits 0 "$1"
}
snap "$T/src"
first=$(field snapshot)
cp -a "$T/src" "$T/then"
for i in $(seq 1 20); do
	echo "changed $i" >"$T/src/dir/f$i"
	snap "$T/src"
done
equal "each session has a segment" "$(segments)" 21
checked "counts before settling"

echo leftover >"$T/repo/tmp/0123456789abcdef"
for d in index packs packs/00 snapshots keys tmp/..; do echo stranger >"$T/repo/$d/stranger.txt"; done
for i in $(seq 21 60) $(seq 1 10); do
	rm -f "$T/src/dir/f$((i - 1))"
	echo "new $i" >"$T/src/dir/g$i"
	snap "$T/src"
done
atmost "segments that wait" "$(segments)" 33
is "there is a table" [ "$(tables)" -ge 1 ]
equal "tmp/ is empty" "$(find "$T/repo/tmp" -type f | wc -l)" 0
equal "strangers stay" "$(find "$T/repo" -name stranger.txt | wc -l)" 6
find "$T/repo" -name stranger.txt -delete
checked "counts after settling"
must restore "$first:$T/src" --target "$T/old"
is "the first snapshot is whole" diff -r "$T/then" "$T/old"
must restore "latest:$T/src" --target "$T/new"
is "the last one too" diff -r "$T/src" "$T/new"
before=$(repo_bytes)
rm -rf "$T/src/dir" && cp -a "$T/then/dir" "$T/src/dir"
snap "$T/src"
equal "what the first snapshot has is found in the tables" "$(find "$T/repo/packs" -type f -newer "$T/new" | wc -l)" \
	"$(find "$T/repo/packs" -type f -newer "$T/new" -size -100k | wc -l)"
atmost "bytes stored" $(($(repo_bytes) - before)) 40000

# A forgotten snapshot is the same record under another directory: hidden, whole, and back by a rename (SR-3, PB-10).
mv "$T/repo/snapshots/$first" "$T/repo/forgotten/$first"
v restore "$first" --target "$T/no"
exits 1 "a forgotten snapshot is hidden"
must list --forgotten
is "list --forgotten shows it" grep -q "${first:0:8}" "$T/out"
checked "counts with a forgotten snapshot"
mv "$T/repo/forgotten/$first" "$T/repo/snapshots/$first"
must restore "$first:$T/src" --target "$T/old2"
is "it comes back whole" diff -r "$T/then" "$T/old2"
finish
