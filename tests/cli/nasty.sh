#!/bin/bash
# The nasty tree goes in and comes back; a difference here is a file somebody loses.  Names of one file stay names of one file (TN-4), a
# directory of any size is cut into nodes (TN-5).
. "$(dirname "$0")/lib.sh"

if is_root; then entries=200000; else entries=20000; fi
NASTY_ENTRIES=${NASTY_ENTRIES:-$entries} "$HERE/mknasty.sh" "$T/src" >"$T/out" 2>"$T/err"
init_repo

v snapshot --json "$T/src"
exits 0 "snapshot of the nasty tree"
equal "nothing could not be read" "$(field errors)" 0

devices=
! is_root || devices=--devices
# shellcheck disable=SC2086
v restore "latest:$T/src" --target "$T/dst" $devices
exits 0 "restore of the nasty tree"
is "deep and all else is the same" "$PYTHON" "$HERE/same.py" "$T/src/deep" "$T/dst/deep"
for d in plain empty hard1 hard2 links special names mode times big; do
	if ! is_root && [ "$d" = mode ]; then
		skip "$d is the same" "modes that need root"
		continue
	fi
	is "$d is the same" "$PYTHON" "$HERE/same.py" "$T/src/$d" "$T/dst/$d"
done
atmost "KiB that the sparse file takes" "$(du -k "$T/dst/sparse/ten" | cut -f1)" 2048
atmost "KiB that the hole takes" "$(du -k "$T/dst/sparse/hole" | cut -f1)" 64
equal "length of the sparse file" "$(stat -c %s "$T/dst/sparse/ten")" 10737418240
equal "hard links across directories" "$(stat -c %i "$T/dst/hard1/one")" "$(stat -c %i "$T/dst/hard2/deep/also-one")"
equal "hard links to symbolic links" "$(stat -c %i "$T/dst/hard1/link-to-link")" "$(stat -c %i "$T/dst/links/dangling")"
if is_root; then
	# rsync does not go beyond PATH_MAX: same.py has compared that part.  10 GiB of zeros are read once only.
	run rsync -aHAXn --delete --checksum --itemize-changes --exclude=/deep "$T/src/" "$T/dst/"
	equal "rsync finds no difference" "$status:$(cat "$T/out")" "0:"
	run rsync -aHAXn --delete --checksum --itemize-changes --exclude=/deep --exclude=/sparse/ten "$T/dst/" "$T/src/"
	equal "rsync the other way finds no difference" "$status:$(cat "$T/out")" "0:"
else
	skip "rsync finds no difference" "needs root"
fi

# Names reach a terminal or a pipe without control characters.
v ls latest "$T/src/names"
isnt "no ESC in the listing" grep -q $'\e' "$T/out"
must ls --json latest "$T/src/names"
is "names that are not UTF-8 have name_b64" grep -q name_b64 "$T/out"

# Again, onto what is there: nothing to write, so inodes stay.
before=$(stat -c '%i %Y' "$T/dst/plain/a/b/random")
# shellcheck disable=SC2086
v restore "latest:$T/src" --target "$T/dst" $devices --json
exits 0 "restore over itself"
equal "a file that is right stays" "$(stat -c '%i %Y' "$T/dst/plain/a/b/random")" "$before"
equal "nothing was written" "$(field bytes_written)" 0

rm -rf "$T/dst"
finish
