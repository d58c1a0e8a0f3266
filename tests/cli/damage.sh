#!/bin/bash
# A damaged chunk costs the files that need it, by name, and nothing else.
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
for i in $(seq 1 40); do noise "$T/src/file-$i" 900000 "damage $i"; done
init_repo
snap "$T/src"
pack=$(find "$T/repo/packs" -type f -printf '%s %p\n' | sort -n | tail -1 | cut -d' ' -f2)
equal "the biggest pack holds data (PK-4)" "$(od -An -tu4 -j12 -N4 "$pack" | tr -d ' ')" 1
cp "$pack" "$T/pack"
chmod u+w "$pack"
printf '\xa5\x5a\xa5\x5a' | dd of="$pack" bs=1 seek=5000000 conv=notrunc status=none
v restore "latest:$T/src" --target "$T/dst" --json
exits 4 "restore of a damaged repository (FR-1)"
lost=0 right=0 named=0
for i in $(seq 1 40); do
	if [ -e "$T/dst/file-$i" ] && cmp -s "$T/src/file-$i" "$T/dst/file-$i"; then
		right=$((right + 1))
	else
		lost=$((lost + 1))
		! grep -qw "file-$i" "$T/err" "$T/out" || named=$((named + 1))
		isnt "no half file-$i under its name" test -e "$T/dst/file-$i"
	fi
done
atmost "files lost" "$lost" 4
atmost "at least one file is lost (1 - lost)" $((1 - lost)) 0
equal "each lost file is named" "$named" "$lost"
equal "all others are restored" "$right" $((40 - lost))
v cat latest "$T/src/file-1"
ok "cat of one file: exit $status"

# A whole pack missing, and back again.
rm "$pack"
v restore "latest:$T/src" --target "$T/dst2"
exits 4 "restore without a pack"
cp "$T/pack" "$pack"
v restore "latest:$T/src" --target "$T/dst3"
exits 0 "restore after the pack came back"
is "all is there" diff -r "$T/src" "$T/dst3"

# Other objects.
record=$(ls "$T/repo/snapshots"/* | head -1)
cp "$record" "$T/record"; chmod u+w "$record"
printf 'X' | dd of="$record" bs=1 seek=200 conv=notrunc status=none
v restore latest --target "$T/dst4"; isnt "a damaged record is not used (SR-1)" [ "$status" = 0 ]
cp "$T/record" "$record"
segment=$(ls "$T/repo/index"/* | head -1)
cp "$segment" "$T/segment"; chmod u+w "$segment"
printf 'X' | dd of="$segment" bs=1 seek=100 conv=notrunc status=none
v restore latest --target "$T/dst4"; exits 4 "a damaged index is not used (IX-2)"
cp "$T/segment" "$segment"
printf 'X' | dd of="$T/repo/varve-repo" bs=1 seek=20 conv=notrunc status=none
v list; exits 4 "a damaged header (RH-1)"
finish
