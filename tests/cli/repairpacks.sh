#!/bin/bash
# A pack that is damaged or gone: what it held is named, everything else comes back, the next snapshot (or repair --from) stores
# again what is still there, and repair snapshots gives up the rest (PB-6, IX-7).
. "$(dirname "$0")/lib.sh"

checked() {
	run "$PYTHON" "$TOP/tools/reader.py" "$T/repo" --key-file "$T/key" check --scrub
	exits 0 "$1"
}
mkdir -p "$T/src/small" "$T/src/many"
for i in $(seq 1 40); do noise "$T/src/small/f$i" 20000 "f $i"; done
for i in $(seq 1 300); do echo "$i" >"$T/src/many/n$i"; done
noise "$T/src/big" 3000000 big
init_repo
snap "$T/src"
for i in 1 2 3; do
	echo "$i" >>"$T/src/small/f$i"
	snap "$T/src"
done
cp -a "$T/repo" "$T/good"
again() { rm -rf "$T/repo"; cp -a "$T/good" "$T/repo"; }
data=$(find "$T/repo/packs" -type f -size +2000k -printf 'packs/%P\n' | head -n 1)
meta=$(cd "$T/repo/parity" && find ?? -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
side=parity/$meta
meta=packs/$meta

# The file and snapshot named; the rest restored.  The source is as it was: nothing of it would be read.
rm "$T/repo/$data"
v scrub
is "scrub names the pack" grep -q "^$data: is missing" "$T/out"
v restore "latest:$T/src" --target "$T/out1"
exits 4 "restore"
for f in $(cd "$T/out1" && find . -type f); do cmp -s "$T/out1/$f" "$T/src/$f" || notok "$f has wrong bytes"; done
snap "$T/src"
must restore "latest:$T/src" --target "$T/out2"
is "the next snapshot heals the unchanged source" diff -r "$T/src" "$T/out2"
v restore "latest~2:$T/src" --target "$T/out3"
exits 4 "an old snapshot has lost what changed since"
is "all else of it is back" cmp "$T/src/small/f9" "$T/out3/small/f9"
must prune
must restore "latest:$T/src" --target "$T/out4"
is "prune keeps it" diff -r "$T/src" "$T/out4"

# Nothing changed since: then everything is healed.
must init -r "$T/one" --key-file "$VARVE_KEY_FILE"
snap -r "$T/one" "$T/src"
rm "$(find "$T/one/packs" -type f -size +2000k | head -n 1)"
v verify -r "$T/one"
exits 4 "verify names the loss"
is "the file" grep -q "$T/src/big" "$T/out"
snap -r "$T/one" "$T/src"
must restore latest -r "$T/one" --target "$T/out10"
must restore latest~1 -r "$T/one" --target "$T/out11"
is "the old snapshot is healed as well" diff -r "$T/out10" "$T/out11"
must prune -r "$T/one"
v verify --read -r "$T/one"
exits 0 "verify is clean after the next snapshot, and after prune"

again
rm "$T/repo/$data"
v repair packs
exits 4 "repair packs"
is "names a file" grep -q "lost in snapshot [0-9a-f]*: $T/src/big\$" "$T/out"
equal "in every snapshot" "$(grep -c "$T/src/big\$" "$T/out")" 4
v prune
exits 4 "nothing is pruned meanwhile"
v repair --from "$T/src" --json
is "what is there is stored" test "$(field bytes_new)" -ge 3000000
equal "no snapshot is made" "$("$VARVE" list --json | "$PYTHON" -c 'import json, sys; print(len(json.load(sys.stdin)))')" 4
must restore "latest:$T/src" --target "$T/out5"
is "and healed" diff -r "$T/src" "$T/out5"
must repair snapshots
checked "counts after giving up the rest"
v verify --read
exits 0 "verify is clean"
must prune
must restore "latest:$T/src" --target "$T/out6"
is "the last one is whole" diff -r "$T/src" "$T/out6"
must scrub

# Nodes lost, and their copy.
again
rm "$T/repo/$meta" "$T/repo/$side"
v repair index
exits 4 "nodes are lost"
snap "$T/src"
must restore "latest:$T/src" --target "$T/out7"
is "a snapshot heals them" diff -r "$T/src" "$T/out7"
must repair snapshots
checked "counts after that"
again
rm "$T/repo/$meta" "$T/repo/$side"
must repair snapshots
checked "given up at once"
must prune
again
rm "$T/repo/$data"
"$VARVE" repair snapshots -q >"$T/other" 2>&1 &
must repair snapshots -q
is "two of them at once" wait $!
equal "each snapshot has one successor" "$("$VARVE" list --json | "$PYTHON" -c 'import json, sys; print(len(json.load(sys.stdin)))')" 4

# A pack with a hole: other frames are saved.
again
# The first frame has nothing but parts of the large file, which comes first and is longer than two frames.
printf zzzzzzzz | dd of="$T/repo/$data" bs=1 seek=200000 conv=notrunc status=none
v repair snapshots
exits 0 "nobody has read the packs"
is "that is said" grep -q "^nothing is given up: .*'varve repair packs'" "$T/out"
v repair --from "$T/src"
exits 0 "nor does this"
is "that is said as well" grep -q "^nothing is stored: .*'varve repair packs'" "$T/out"
v repair packs
exits 4 "a damaged frame"
is "others are saved" grep -q "^$data: damaged; [1-9][0-9]* frames saved" "$T/out"
is "the damaged pack is kept" test -e "$T/repo/damaged/packs-${data##*/}"
v restore "latest:$T/src" --target "$T/out8"
exits 4 "restore"
is "brings back the others" cmp "$T/src/small/f9" "$T/out8/small/f9"
isnt "but not this one" test -e "$T/out8/big"
for f in $(cd "$T/out8" && find . -type f); do cmp -s "$T/out8/$f" "$T/src/$f" || notok "$f has wrong bytes"; done
must repair snapshots
v list
is "they are marked" grep -q incomplete "$T/out"
v restore "latest:$T/src" --target "$T/out9"
exits 1 "what was given up is said"
for f in $(cd "$T/out9" && find . -type f); do cmp -s "$T/out9/$f" "$T/src/$f" || notok "$f has wrong bytes"; done
checked "counts"

# Without a footer frames are found by their lengths; behind a bad place by their beginning.
again
size=$(stat -c %s "$T/repo/$data")
printf zzzzzzzz | dd of="$T/repo/$data" bs=1 seek=1200000 conv=notrunc status=none
printf zzzzzzzz | dd of="$T/repo/$data" bs=1 seek=$((size - 30)) conv=notrunc status=none
v repair packs --json
saved=$("$PYTHON" -c 'import json, sys
print(sum(json.loads(l).get("frames_saved", 0) for l in open(sys.argv[1]) if "\"pack\"" in l))' "$T/out")
is "frames saved without a footer ($saved)" test "$saved" -ge 1
printf zzzzzzzz | dd of="$T/repo/$(find "$T/repo/packs" -type f -size +500k -printf 'packs/%P\n' | head -n 1)" bs=1 seek=60 conv=notrunc status=none
v repair packs
is "without its header nothing" grep -q "nothing could be saved" "$T/out"
must repair snapshots
checked "counts at the end"

# Behind the first frame what looks like frames, every 16 bytes, each to the end of the file: not all of it is tried.
again
"$PYTHON" - "$T/repo/$data" <<'PY'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    f.seek(160)
    begin = 160 + 16 + sum(struct.unpack("<8xII", f.read(16)))
    end = begin + (2 << 20)
    f.truncate(begin)
    f.seek(begin)
    f.write(b"".join(struct.pack("<4sIII", b"VFRM", 0, (end - off) // 2, end - off - 16 - (end - off) // 2) for off in range(begin, end - 200, 16)))
    f.truncate(end)
PY
v repair packs
exits 4 "what only looks like frames"
is "the first is saved, and the rest given up" grep -q "^$data: damaged; 1 frames saved; the search for more was given up" "$T/out"
is "what is lost is named" grep -q "lost in snapshot [0-9a-f]*: $T/src/big\$" "$T/out"
must repair snapshots
checked "counts after that"
v repair --from "$T/src" index
exits 2 "--from goes alone"
finish
