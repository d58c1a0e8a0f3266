#!/bin/bash
# A file system filled to the last byte: forget and prune work and give space back; the reserve is made again (PB-4).  An index made
# anew takes the reserve, and without one it changes nothing (IX-11).
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
init_repo
equal "init makes the reserve" "$(stat -c %s "$T/repo/reserve")" 4194304
rm "$T/repo/reserve"
must prune
equal "prune makes it again" "$(stat -c %s "$T/repo/reserve")" 4194304
equal "and leaves it" "$(inode=$(stat -c %i "$T/repo/reserve"); "$VARVE" prune -q; stat -c %i "$T/repo/reserve")" \
	"$(stat -c %i "$T/repo/reserve")"

fill() {
	dd if=/dev/zero of="$T/mnt/fill$1" bs=64k >/dev/null 2>&1 || true
	dd if=/dev/zero of="$T/mnt/fill2$1" bs=1 count=65536 >/dev/null 2>&1 || true
	isnt "$name: there is no byte left" sh -c "echo x >'$T/mnt/more'"
	rm -f "$T/mnt/more"
}
on_disk() { # NAME: $T/mnt is a small file system.
	local name=$1 free i
	export VARVE_REPOSITORY=$T/mnt/repo
	rm -rf "$T/src" "$T/back"
	mkdir "$T/src"
	must init --key-file "$VARVE_KEY_FILE"
	for i in $(seq 1 12); do
		noise "$T/src/f$((i % 3))" 2500000 "$name $i"
		v snapshot "$T/src"
		[ "$status" = 0 ] || break
		cp -a "$T/src/." "$T/kept.$name"
	done
	isnt "$name: a snapshot fails for want of space" [ "$status" = 0 ]
	is "$name: the repository is named" grep -q "repository '$VARVE_REPOSITORY': cannot .*No space" "$T/err"
	fill first
	must forget --keep-last 1
	must prune --json
	is "$name: the reserve was needed" grep -q "the disk was full" "$T/err"
	is "$name: prune frees" test "$(field bytes_freed)" -gt 2000000
	free=$(df --output=avail -B1 "$T/mnt" | tail -1)
	is "$name: there is space" test "$free" -gt 1000000
	equal "$name: the reserve is there again" "$(stat -c %s "$VARVE_REPOSITORY/reserve")" 4194304
	run "$PYTHON" "$TOP/tools/reader.py" "$VARVE_REPOSITORY" --key-file "$T/key" check --scrub
	exits 0 "$name: the repository is right"
	must restore "latest:$T/src" --target "$T/back"
	is "$name: what is kept is whole" diff -r "$T/kept.$name" "$T/back"
	snap "$T/src"
	fill second
	must repair index
	isnt "$name: it took the reserve" test -e "$VARVE_REPOSITORY/reserve"
	fill third
	ls "$VARVE_REPOSITORY/index" >"$T/list1"
	v repair index
	isnt "$name: without one it fails" [ "$status" = 0 ]
	ls "$VARVE_REPOSITORY/index" >"$T/list2"
	is "$name: and has changed nothing" cmp "$T/list1" "$T/list2"
	rm -rf "$T/back"
	must restore "latest:$T/src" --target "$T/back"
	umount "$T/mnt"
}
if ! is_root; then
	skip "a full file system" "needs root"
	finish
	exit 0
fi
mkdir "$T/mnt"
trap 'umount "$T/mnt" 2>/dev/null || true; leave' EXIT
if mount -t tmpfs -o size=32m tmpfs "$T/mnt" 2>/dev/null; then
	on_disk tmpfs
else
	skip "a full tmpfs" "cannot mount"
fi
truncate -s 40M "$T/image"
if command -v mkfs.ext4 >/dev/null && mkfs.ext4 -q -m 0 "$T/image" 2>/dev/null && mount -o loop "$T/image" "$T/mnt" 2>/dev/null; then
	on_disk ext4
else
	skip "a full ext4" "cannot make or mount one"
fi
finish
