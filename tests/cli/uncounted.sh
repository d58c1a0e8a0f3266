#!/bin/bash
# A disk that lost a part of the index: prune deletes nothing that a snapshot needs (PB-6); repair index counts again.
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
for i in 1 2 3 4; do noise "$T/src/f$i" 20000 "f $i"; done

lose() { rm -f "$T/repo/index/$1" "$T/repo/parity/index/$1"*; }
refused() {
	v prune
	exits 4 "$1: prune refuses"
	is "$1: and says what to do" grep -q 'repair index' "$T/err"
	must repair index
	must prune
	v verify --read
	exits 0 "$1: verify is clean"
	rm -rf "$T/back"
	must restore latest --target "$T/back"
	is "$1: it comes back" diff -r "$T/src" "$T/back/$T/src"
}

# The same root twice: the second one's segment has nothing but the reference.
init_repo
snap "$T/src"
must prune
settled=$(ls "$T/repo/index")
snap "$T/src" --host other
segment=$(ls "$T/repo/index" | grep -vxF "$settled")
is "one segment: $segment" test -e "$T/repo/index/$segment"
cp -a "$T/repo" "$T/copy"
lose "$segment"
must forget latest~1
refused "a segment"

# It is the forgotten one that was never counted.
rm -rf "$T/repo"; cp -a "$T/copy" "$T/repo"
lose "$segment"
must forget latest
refused "a segment of what is forgotten"

# All of the index, as a disk would lose it that forgot a directory's last changes.
rm -rf "$T/repo"; mv "$T/copy" "$T/repo"
for f in $(ls "$T/repo/index"); do lose "$f"; done
noise "$T/src/f5" 20000 "f 5"
snap "$T/src"
must forget latest~1
refused "everything"

# While no pack goes nothing is lost: what was taken out of the index is found again.  Before one goes prune looks.
rm -rf "$T/repo"
init_repo
snap "$T/src"
first=$(field snapshot)
for i in $(seq 20); do
	noise "$T/src/f5" 3000 "version $i"
	snap "$T/src"
done
second=$(field snapshot)
must prune                                      # their packs are few now
settled=$(ls "$T/repo/index")
snap "$T/src" --host other
lose "$(ls "$T/repo/index" | grep -vxF "$settled")"
must forget "$second"
before=$(ls "$T/repo/packs"/*)
must prune --max-rewrite 0
equal "no pack goes" "$(ls "$T/repo/packs"/*)" "$before"
must forget "$first"
refused "packs that would go"

# A record that could not be read while its segment was counted is no loss.
snap "$T/src" --host third
record=$(ls -t "$T/repo/snapshots" | head -n 1)
cp -a "$T/repo" "$T/copy"
: >"$T/repo/snapshots/$record"
rm -rf "$T/repo/parity/snapshots/$record"*
noise "$T/src/f6" 20000 "f 6"
v snapshot "$T/src"
v prune
cp "$T/copy/snapshots/$record" "$T/repo/snapshots/$record"
must forget latest
must prune
v verify --read
exits 0 "a record that came back: nothing is refused"

# It was damaged when its segment was lost, and mended later: it is still not counted.
rm -rf "$T/repo" "$T/copy"
mkdir "$T/other"; noise "$T/other/o" 5000 other
init_repo
snap "$T/src"
first=$(field snapshot)
snap "$T/other"
second=$(field snapshot)
must prune
settled=$(ls "$T/repo/index" "$T/repo/snapshots")
snap "$T/src" --host other
lose "$(ls "$T/repo/index" | grep -vxF "$settled")"
record=$(ls "$T/repo/snapshots" | grep -vxF "$settled")
cp "$T/repo/snapshots/$record" "$T/record"
printf XXXX | dd of="$T/repo/snapshots/$record" bs=1 seek=120 conv=notrunc status=none
must forget "$second"
v prune
cp "$T/record" "$T/repo/snapshots/$record"
must forget "$first"
refused "a record that was damaged meanwhile"
finish
