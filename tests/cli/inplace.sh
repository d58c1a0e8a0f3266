#!/bin/bash
# Restore onto a populated directory: what is right stays untouched, what is extra stays without --delete.
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/src/dir/sub"
noise "$T/src/large" 2000000 inplace
for n in a b c; do echo "content of $n" >"$T/src/dir/$n"; done
ln -s a "$T/src/dir/link"
touch -d '2020-01-01 00:00:00.5' "$T/src/dir/a" "$T/src/large" "$T/src/dir/b" "$T/src/dir/c"
init_repo
snap "$T/src"
restore() { v restore "latest:$T/src" --target "$T/dst" "$@"; }
restore; exits 0 "into a new directory"
is "same tree" same_tree "$T/src" "$T/dst"

ids() { (cd "$T/dst" && find . ! -type d -printf '%p %i %T@ %C@\n' | sort); }
ids >"$T/ids"
restore; exits 0 "again"
ids >"$T/ids2"
is "unchanged files keep inode, mtime and ctime" cmp "$T/ids" "$T/ids2"

# What differs is rewritten, what is extra stays.
echo "changed" >"$T/dst/dir/b"
echo "extra" >"$T/dst/extra"
mkdir "$T/dst/extradir" && echo x >"$T/dst/extradir/x"
rm "$T/dst/dir/c"
inode=$(stat -c %i "$T/dst/large")
printf 'X' | dd of="$T/dst/large" bs=1 seek=1000000 conv=notrunc status=none
cp -a "$T/dst" "$T/dst.copy"

restore --dry-run; exits 0 "dry run"
is "a dry run changes nothing" same_tree "$T/dst" "$T/dst.copy"
is "a dry run names what would change" grep -q 'dir/b' "$T/out" "$T/err"
restore --dry-run --delete; exits 0 "dry run with --delete"
is "it changes nothing either" same_tree "$T/dst" "$T/dst.copy"
is "and names what would go, where it lies" grep -qx -- "- $T/dst/extra" "$T/out"
is "and counts what lies in it" grep -q 'deleted: 3$' "$T/out"
restore --dry-run --delete --json
is "JSON has the place on the disk of what goes" grep -q "\"target\":\"$T/dst/extradir\"" "$T/out"
is "and of what comes" grep -q "\"target\":\"$T/dst/dir/c\"" "$T/out"

restore --overwrite never; exits 0 "--overwrite never"
equal "an existing file stays" "$(cat "$T/dst/dir/b")" changed
is "a missing file comes" cmp "$T/src/dir/c" "$T/dst/dir/c"

touch -d '2030-01-01' "$T/dst/dir/b"
restore --overwrite if-newer; exits 0 "--overwrite if-newer"
equal "a newer file stays" "$(cat "$T/dst/dir/b")" changed

# The same size and time: proof enough for if-changed, not for always.
touch -r "$T/src/large" "$T/dst/large"
restore --overwrite if-changed; exits 0 "--overwrite if-changed"
isnt "if-changed takes size and time as proof" cmp "$T/src/large" "$T/dst/large"
equal "if-changed rewrites what differs" "$(cat "$T/dst/dir/b")" "content of b"

restore --verify --json; exits 0 "--overwrite always, --verify"
is "always compares the content" cmp "$T/src/large" "$T/dst/large"
is "extra files stay" test -e "$T/dst/extra" -a -e "$T/dst/extradir/x"
touch -r "$T/src" "$T/dst"

restore --delete; exits 0 "--delete"
is "the trees are the same again" same_tree "$T/src" "$T/dst"
: "$inode"

# What is excluded stays, with the directories it is in.
mkdir -p "$T/dst/extra/in/deep" "$T/dst/extra/bare" "$T/dst/extra/in/home"
echo k | tee "$T/dst/extra/my.key" "$T/dst/extra/in/deep/my.key" >"$T/dst/extra/in/other"
restore --delete --exclude '*.key' --dry-run
equal "a dry run names what is not" "$(grep -c "^- $T/dst/extra/\(bare\|in/home\|in/other\)$" "$T/out") $(grep -c '^- ' "$T/out")" "3 3"
restore --delete --exclude '*.key'; exits 0 "--delete and --exclude"
equal "excluded files stay" "$(cd "$T/dst/extra" && find . ! -type d | sort | tr '\n' ' ')" "./in/deep/my.key ./my.key "
is "what is not goes" test ! -e "$T/dst/extra/bare" -a ! -e "$T/dst/extra/in/home"
rm "$T/dst/dir/a" && mkdir "$T/dst/dir/a" && echo k >"$T/dst/dir/a/my.key"
restore --delete --exclude '*.key'; exits 1 "an excluded file in a directory that is in the way"
is "stays" test -e "$T/dst/dir/a/my.key"
rm -r "$T/dst/dir/a" && mkdir "$T/dst/dir/a" && echo k >"$T/dst/dir/a/k"
restore --delete --exclude a/; exits 1 "a directory that is excluded itself is in the way of a file"
is "that stays, too" test -e "$T/dst/dir/a/k"
restore --delete; exits 0 "without --exclude"
is "and the trees are the same" same_tree "$T/src" "$T/dst"

# Another kind of thing is in the way.
rm -r "$T/dst/dir/a" "$T/dst/dir/sub" "$T/dst/dir/link"
mkdir "$T/dst/dir/a" && echo in >"$T/dst/dir/a/in"
echo file >"$T/dst/dir/sub"
ln -s /etc "$T/dst/dir/link"
restore --delete; exits 0 "over other kinds of files"
is "the trees are the same once more" same_tree "$T/src" "$T/dst"

# A file in the way of a directory: not if a process has it open as a database.
rm -r "$T/dst/dir/sub"
sqlite3 "$T/dst/dir/sub" 'pragma journal_mode = wal; create table t (a)' >/dev/null
exec 9<"$T/dst/dir/sub"
restore; exits 1 "over a database that is open"
is "it stays" sqlite3 "$T/dst/dir/sub" 'select * from t'
restore --force; exits 0 "with --force"
exec 9<&-
is "it is a directory" same_tree "$T/src" "$T/dst"
rmdir "$T/dst/dir/sub" && sqlite3 "$T/dst/dir/sub" 'create table t (a)'
restore; exits 0 "over one that is not"
is "it is a directory as well" same_tree "$T/src" "$T/dst"

# Some file systems say only when a file is closed what they could not write.  Valgrind would fail over a close of its own.
if [ "${VARVE%-memcheck}" = "$VARVE" ] && strace -o /dev/null true 2>/dev/null; then
	told=
	for n in $(seq 80); do
		echo other >"$T/dst/dir/a"
		run strace -f -qq -o /dev/null -e trace=close -e inject=close:error=EIO:when="$n" env ASAN_OPTIONS=detect_leaks=0 "$VARVE" restore "latest:$T/src" --target "$T/dst" dir/a
		if [ "$status" != 0 ] && grep -q "dir/a': cannot write" "$T/err"; then told=$(cat "$T/dst/dir/a"); break; fi
	done
	equal "a close that fails is told, and what was there stays" "$told" other
	restore
else
	skip "a close that fails is told, and what was there stays" "no strace, or Valgrind"
fi

# A link that is replaced is no database: what lies beside it is the user's.
ln -sf elsewhere "$T/dst/dir/link" && echo mine >"$T/dst/dir/link-wal"
restore
equal "a link is another, and what has a name beside it stays" "$(readlink "$T/dst/dir/link") $(cat "$T/dst/dir/link-wal")" "a mine"
rm "$T/dst/dir/link-wal"

# A link in place of a directory is not followed.
mkdir "$T/outside"
rm -r "$T/dst/dir" && ln -s "$T/outside" "$T/dst/dir"
restore
isnt "nothing was written through the link" test -e "$T/outside/a"
is "the directory is a directory again" test -d "$T/dst/dir" -a ! -L "$T/dst/dir"

# The target's path means what the kernel says, and what is there already was not made by us.
mkdir -p "$T/way/else/y" "$T/way/there" "$T/way/b"
ln -s else/y "$T/way/link" && ln -s nowhere "$T/way/dangling"
for d in there b; do echo mine >"$T/way/$d/large"; done
for how in --verbose --dry-run; do
	restore --target "$T/way/missing/../there" --overwrite never $how; exits 2 "'..' after what is not there, $how"
	is "is said" grep -q "'\.\.' comes after what is not there" "$T/err"
	restore --target "$T/way/dangling" $how; exits 1 "a link to nothing, $how"
done
equal "nothing was made or overwritten" "$(ls "$T/way" | tr '\n' ' ')$(head -c 4 "$T/way/there/large")" "b dangling else link there mine"
restore --target "$T/way/link/../b" --overwrite never --dry-run; exits 0 "'..' after a link, dry run"
is "it is to be made" grep -q "to write, 0 unchanged, 0 skipped" "$T/out"
restore --target "$T/way/link/../b" --overwrite never; exits 0 "'..' after a link"
is "leads where the kernel says" same_tree "$T/src" "$T/way/else/b"
equal "and nowhere else" "$(ls "$T/way/b" "$T/way/else/y")" "$(printf '%s:\nlarge\n\n%s:' "$T/way/b" "$T/way/else/y")"
(cd "$T/way" && umask 077 && "$VARVE" restore "latest:$T/src" --target new//./deep/. >/dev/null)
is "a path with '.' is made" same_tree "$T/src" "$T/way/new/deep"

# Chosen paths.
v restore latest "$T/src/dir/a" --target "$T/one"; exits 0 "one path"
is "it has its full path" cmp "$T/src/dir/a" "$T/one$T/src/dir/a"
isnt "others did not come" test -e "$T/one$T/src/large"
v restore "latest:$T/src/dir" --target "$T/two" --exclude b; exits 0 "a directory without a pattern"
is "a is there" test -e "$T/two/a"
isnt "b is not" test -e "$T/two/b"
if is_root; then
	mkdir "$T/nodes" && mknod "$T/nodes/null" c 1 3
	snap "$T/nodes"
	v restore "latest:$T/nodes" --target "$T/nodes.back"; exits 0 "a device node without --devices"
	is "that it was left out is said" grep -q "1 device node left out; --devices" "$T/err"
	ln "$T/nodes/null" "$T/nodes/other" && snap "$T/nodes"
	echo a >"$T/nodes.back/null" && echo b >"$T/nodes.back/other"
	v restore "latest:$T/nodes" --target "$T/nodes.back"; exits 0 "one with two names, files in their place"
	equal "both files stay" "$(cat "$T/nodes.back/null" "$T/nodes.back/other" | tr '\n' ' ')" "a b "
fi

# A snapshot of one file system has mount points as empty directories: what is mounted there is not for --delete.
if is_root && unshare -m true 2>/dev/null; then
	mkdir -p "$T/one.fs/home" "$T/one.fs/crossed" "$T/over"
	# shellcheck disable=SC2016
	run unshare -m bash -eu -o pipefail -c '
		mount -t tmpfs none "$1/one.fs/home" && mount -t tmpfs none "$1/one.fs/crossed" && mount -t tmpfs none "$1/over"
		echo precious >"$1/one.fs/home/p" && echo in >"$1/one.fs/crossed/in"
		"$VARVE" snapshot "$1/one.fs" --one-file-system --quiet
		touch "$1/one.fs/extra"
		"$VARVE" restore "latest:$1/one.fs" --path "$1/one.fs" --target "$1/one.fs" --delete && cat "$1/one.fs/home/p" && ls "$1/one.fs" | tr "\n" " "
		"$VARVE" snapshot "$1/one.fs" --quiet
		touch "$1/one.fs/crossed/extra" "$1/over/extra"
		"$VARVE" restore "latest:$1/one.fs" --path "$1/one.fs" --target "$1/one.fs" --delete --quiet && ls "$1/one.fs/crossed"
		"$VARVE" restore "latest:$1/one.fs" --path "$1/one.fs" --target "$1/over" --delete --quiet && ls "$1/over" | tr "\n" " "
	' bash "$T"
	exits 0 "--delete with file systems beneath the target"
	is "what is mounted where the snapshot has an empty directory stays" grep -qx precious "$T/out"
	is "that it was left is said" grep -q "2 mount points left as found" "$T/err"
	is "around it is deleted" grep -q "^crossed home in" "$T/out"
	equal "where the snapshot crossed, and where the target is one, it deletes" "$(tail -n 1 "$T/out")" "crossed home "
else
	skip "--delete with file systems beneath the target" "mounting takes root"
fi

# What is in the way goes when the new one is complete: neither a mount in it nor a full disk costs it.
if is_root && unshare -m true 2>/dev/null; then
	mkdir "$T/inway" "$T/inway.dst" && noise "$T/inway/data" 3000000 way && snap "$T/inway"
	# shellcheck disable=SC2016
	run unshare -m bash -eu -o pipefail -c '
		mkdir -p "$1/inway.dst/data/b" && echo precious >"$1/inway.dst/data/a" && mount -t tmpfs none "$1/inway.dst/data/b"
		"$VARVE" restore "latest:$1/inway" --path "$1/inway" --target "$1/inway.dst" --delete || echo "$?"
		umount "$1/inway.dst/data/b" && cat "$1/inway.dst/data/a"
		mount -t tmpfs -o size=1m none "$1/inway.dst" && mkdir "$1/inway.dst/data" && echo valuable >"$1/inway.dst/data/a"
		"$VARVE" restore "latest:$1/inway" --path "$1/inway" --target "$1/inway.dst" --delete || echo "$?"
		cat "$1/inway.dst/data/a"
	' bash "$T"
	equal "a directory in the way, with a mount in it; on a full disk" "$(tr '\n' ' ' <"$T/out" | grep -o "1 precious 1 valuable")" "1 precious 1 valuable"
else
	skip "a directory in the way, with a mount in it; on a full disk" "mounting takes root"
fi

# Another repository, where the snapshot has directories of the same names, and a file.
mkdir -p "$T/two.repos/backup/packs" "$T/two.repos/z" && echo file | tee "$T/two.repos/backup/snapshots" >"$T/two.repos/f"
snap "$T/two.repos"
rm -r "$T/two.repos/backup"
must --repo "$T/two.repos/backup" init --key-file "$T/key2"
must --repo "$T/two.repos/backup" --key-file "$T/key2" snapshot "$T/src/dir"
touch "$T/two.repos/z/extra"
restore() { v restore "latest:$T/two.repos" --path "$T/two.repos" --target "$T/two.repos" --delete "$@"; }
cp -a "$T/two.repos" "$T/two.copy"
restore --dry-run; exits 1 "a dry run over another repository"
equal "says that only what is beside it would go" "$(grep '^- ' "$T/out")" "- $T/two.repos/z/extra"
restore; exits 1 "--delete over another repository"
equal "it is named once, and what is in the way in it" "$(grep -c "a repository that the snapshot does not have: nothing" "$T/err")" 2
is "nothing in it went" diff -r "$T/two.repos/backup" "$T/two.copy/backup"
is "beside it the rest did" test ! -e "$T/two.repos/z/extra"
restore --exclude 'backup/*'; exits 0 "with all in it excluded"
v restore latest --path "$T/two.repos" "$T/two.repos/backup/packs" --target / --delete; exits 1 "only what lies in it"
is "stays as well" diff -r "$T/two.repos/backup" "$T/two.copy/backup"
v --repo "$T/two.repos/backup" --key-file "$T/key2" verify; exits 0 "verify of the other repository"
rm -r "$T/two.repos" && mv "$T/two.copy" "$T/two.repos" && rm "$T/two.repos/z/extra" && snap "$T/two.repos"
touch "$T/two.repos/backup/packs/extra" && chmod -R u+w "$T/two.repos"
restore; exits 0 "a repository that the snapshot has"
is "is what it was" test ! -e "$T/two.repos/backup/packs/extra"

# A target that passes an ACL on to what is made in it: nothing of the snapshot has it.
mkdir "$T/acl.dst"
if setfacl -d -m u:1:rwx "$T/acl.dst" 2>/dev/null; then
	must restore "latest:$T/src" --path "$T/src" --target "$T/acl.dst/new"
	must restore "latest:$T/src" --path "$T/src" --target "$T/acl.dst"
	equal "no file or directory has it" "$(cd "$T/acl.dst" && getfacl -R -s -n . 2>/dev/null | grep '^# file' | tr '\n' ' ')" ""
else
	skip "no file or directory has it" "no ACLs here"
fi

# The newest snapshot may be of something else: which it was is said.
echo dump | "$VARVE" snapshot --stdin --name shop.sql --quiet
for c in ls cat; do
	v "$c" latest "$T/src/large"; exits 1 "$c of a path that the newest snapshot has not"
	is "$c names its paths, and the option" grep -q "(paths: /shop.sql) has no '$T/src/large' (--path" "$T/err"
done
v restore latest "$T/src/dir" --target "$T/three"
is "so does restore" grep -q "(paths: /shop.sql) has no '$T/src/dir' (--path" "$T/err"
v restore latest --path "$T/src" "$T/src/dir" --target "$T/three"; exits 0 "--path chooses"

# What a killed restore has left goes with the next one, unless it may be at work; names that only look alike stay.
restore() { v restore "latest:$T/src" --path "$T/src" --target "$T/dst" "$@"; }
rm -rf "$T/dst" && restore && mkdir "$T/dst/.varve-00112233445566aa.tmp"
: >"$T/dst/.varve-0123456789abcdef.tmp" && ln -s x "$T/dst/dir/sub/.varve-0123456789abcdee.tmp"
: >"$T/dst/.varve-0123456789abcde.tmp" && : >"$T/dst/dir/.varve-fedcba9876543210.tmp"
restore --dry-run
is "a dry run removes no temporary file" test -e "$T/dst/.varve-0123456789abcdef.tmp"
exec 9<"$T/dst/dir/.varve-fedcba9876543210.tmp"
restore; exits 0 "with temporary files of another restore"
is "those that nobody has open are gone" test ! -e "$T/dst/.varve-0123456789abcdef.tmp" -a ! -L "$T/dst/dir/sub/.varve-0123456789abcdee.tmp"
is "one that is in use stays" test -e "$T/dst/dir/.varve-fedcba9876543210.tmp"
is "so do a directory and another name" test -d "$T/dst/.varve-00112233445566aa.tmp" -a -e "$T/dst/.varve-0123456789abcde.tmp"
exec 9<&-
restore dir/a
is "also in a directory on the way to a chosen file" test ! -e "$T/dst/dir/.varve-fedcba9876543210.tmp"

# An immutable file gets its flag when everything is in place, and is replaced all the same.
flags() { lsattr "$1" | cut -d ' ' -f 1; }
mkdir "$T/imm" && echo first >"$T/imm/f" && ln "$T/imm/f" "$T/imm/g"
if chattr +i "$T/imm/f" 2>/dev/null; then
	trap 'chattr -i "$T/imm/f" "$T/immdst/f" 2>/dev/null; leave' EXIT
	snap "$T/imm"
	must restore "latest:$T/imm" --target "$T/immdst"
	equal "an immutable file is immutable again" "$(flags "$T/immdst/f")" "$(flags "$T/imm/f")"
	equal "and has both names" "$(stat -c %h "$T/immdst/f")" 2
	chattr -i "$T/imm/f" && echo second >"$T/imm/f" && chattr +i "$T/imm/f"
	snap "$T/imm"
	must restore "latest:$T/imm" --target "$T/immdst"
	is "its content is replaced" cmp "$T/imm/f" "$T/immdst/f"
	chattr -i "$T/immdst/f" && must restore "latest:$T/imm" --target "$T/immdst" --overwrite if-changed
	equal "size and time are no proof of the flag" "$(flags "$T/immdst/f")" "$(flags "$T/imm/f")"
	equal "and it is immutable" "$(flags "$T/immdst/f")" "$(flags "$T/imm/f")"
fi

finish
