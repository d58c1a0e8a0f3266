#!/bin/bash
# What a reviewer once broke: the repository eaten by its own restore, root's files prepared by others, packs that are gone or cut off,
# links in the way.  Each would lose data or hand it over.
. "$(dirname "$0")/lib.sh"

# A repository inside the tree it keeps is neither taken in nor touched, not even by --delete.
mkdir -p "$T/h/user"
echo d >"$T/h/user/f"
export VARVE_REPOSITORY=$T/h/repo
v init "$T/h/repo" --key-file "$T/key"
v snapshot "$T/h"
exits 0 "snapshot of a tree that holds the repository"
echo m >"$T/h/user/g"
v snapshot "$T/h"
v restore latest~1 --target / --delete
exits 0 "restore in place with --delete"
isnt "what the snapshot does not have is gone" test -e "$T/h/user/g"
v list --json
equal "the repository is whole" "$(grep -o '"id"\|"snapshot"' "$T/out" | wc -l)" 2
is "and nothing of it was stored" test "$("$VARVE" ls latest "$T/h" | grep -c '/h/repo/' || true)" = 0
v restore "latest:$T/h" --target "$T/h/repo/packs" --delete
isnt "a target in the repository is refused" test "$status" = 0
v restore latest --target "$T/out1"
exits 0 "the repository still works"
export VARVE_REPOSITORY=$T/repo

# A link on the way to what was snapshotted stays.
mkdir -p "$T/l/real/sub"
echo x >"$T/l/real/sub/f"
echo y >"$T/l/real/other"
ln -s real "$T/l/lnk"
init_repo
v snapshot "$T/l/lnk/sub"
exits 0 "snapshot through a link"
v restore latest --target /
isnt "restoring over the link is reported" test "$status" = 0
is "the link is still there" test -L "$T/l/lnk"
v restore "latest:$T/l/lnk/sub" --target "$T/l/lnk/sub"
exits 0 "SNAP:PATH goes where the link leads"

# A trailing slash means the directory, ".." what the kernel means.
v snapshot "$T/l/lnk/"
v ls latest
is "a trailing slash follows the link" grep -q '/l/real/sub/f' "$T/out"
v snapshot "$T/l/lnk/sub/.."
v ls latest
is "and so does .." grep -q '/l/real/sub/f' "$T/out"
v snapshot "$T/l/real/other/"
isnt "a file is no directory" test "$status" = 0

# A chunk counts as stored only if it can be read: lost and cut-off packs are healed by the next snapshot.
heal() { # WHAT, options
	local what=$1
	shift
	v snapshot "$@" "$T/big"
	exits 0 "snapshot after $what"
	v restore "latest:$T/big" --target "$T/healed"
	exits 0 "restore after $what"
	is "the same after $what" cmp "$T/big/f" "$T/healed/f"
	rm -rf "$T/healed"
}
datapack() {
	local p
	for p in "$T"/repo/packs/*/*; do
		[ "$(od -An -tu4 -j12 -N4 "$p" 2>/dev/null | tr -d ' ')" != 1 ] || echo "$p"
	done
}
rm -rf "$T/repo"
init_repo
mkdir "$T/big"
noise "$T/big/f" 3000000 heal
touch -d '2 hours ago' "$T/big/f"
v snapshot "$T/big"
rm "$(datapack)"
heal "a lost pack" --paranoid
: >"$(datapack)"
heal "a pack cut off" --rehash
noise "$T/big/f" 15000 base
v snapshot "$T/big"
before=$(datapack | sort)
printf XYZ | dd of="$T/big/f" bs=1 seek=7000 conv=notrunc status=none
v snapshot "$T/big"
for p in $before; do rm "$p"; done
heal "the base of a difference was lost" --rehash --parent none

# Whoever can write the directory cannot make us wait for ever.
mkfifo "$T/repo/snapshots/00112233445566778899aabbccddeeff"
v list
exits 4 "a fifo instead of a record"
rm "$T/repo/snapshots/00112233445566778899aabbccddeeff"

# Housekeeping that fails is said; a directory in tmp/ is none of ours.
mkdir "$T/repo/tmp/dir"
mkdir "$T/small"
for i in $(seq 1 34); do echo "$i" >"$T/small/f"; "$VARVE" snapshot -q "$T/small" >/dev/null; done
atmost "a directory in tmp/ does not stop the folding: index files" "$(find "$T/repo/index" -type f | wc -l)" 32

if [ "$(id -u)" = 0 ]; then
	# Somebody else's inode never becomes root's: he may hold it open.
	mkdir "$T/s" "$T/t"
	noise "$T/s/tool" 20000 tool
	chmod 4755 "$T/s/tool"
	v snapshot "$T/s"
	cp "$T/s/tool" "$T/t/tool"
	chown 65534:65534 "$T/t" "$T/t/tool"
	chmod 755 "$T/t/tool"
	inode=$(stat -c %i "$T/t/tool")
	v restore "latest:$T/s" --target "$T/t"
	exits 0 "restore over a file of somebody else"
	equal "it is root's and setuid" "$(stat -c '%u %a' "$T/t/tool")" "0 4755"
	is "and a new inode" test "$(stat -c %i "$T/t/tool")" != "$inode"
else
	skip "setuid files" "needs root"
fi
finish
