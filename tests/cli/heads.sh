#!/bin/bash
# A repository that is older than it was, or lost a snapshot that nobody pruned, is noticed by who saw it before.
. "$(dirname "$0")/lib.sh"

export VARVE_STATE_DIR=$T/state
mkdir "$T/src"
echo one >"$T/src/a"
older() { grep -q 'warning: the repository is not as it was' "$T/err"; }
init_repo
snap "$T/src"
cp -a "$T/repo" "$T/one"
echo two >"$T/src/a"
snap "$T/src"
second=$(field snapshot)
is "something is remembered" test -s "$T/state/"*
v list; exits 0 "list"
isnt "nothing to warn of" older
must head
check=$(awk '/^check/ {print $2}' "$T/out")
must head --json; equal "the same as JSON" "$(field check)" "$check"
v head "$check"; exits 0 "head CHECK"

put_back() { rm -rf "$T/repo"; cp -a "$1" "$T/repo"; }
cp -a "$T/repo" "$T/two"
put_back "$T/one"
for command in "list" "ls latest" "stats" "snapshot $T/src --dry-run" "find a" "forget --keep-last 1 --dry-run"; do
	# shellcheck disable=SC2086
	v $command
	is "'${command%% *}' warns (SR-4)" older
done
v verify; exits 4 "verify of an older copy"
is "it says so" grep -q "damaged: repository: snapshot ${second:0:8}" "$T/out"
v head "$check"; exits 4 "head CHECK of an older copy"
v list --no-state; isnt "no warning without state" older
run env VARVE_STATE_DIR= "$VARVE" list; isnt "nor with an empty directory of it" older
run env VARVE_STATE_DIR="$T/other" "$VARVE" list; isnt "nor for somebody who saw nothing" older
v list; is "it warns again" older
v head --accept; exits 0 "head --accept"
v list; isnt "now that is what was seen" older
put_back "$T/two"
v list; isnt "newer is fine" older

# An older table.
must prune
put_back "$T/two"
v list; isnt "prune here changed nothing that this user saw" older
must prune
must list
put_back "$T/two"
v list; is "an older table" older
put_back "$T/one"
v verify; exits 4 "an older table and a snapshot less"
rm -rf "$T/state"

# A table that is only a name does not count.
put_back "$T/two"
must list
echo x >"$T/repo/index/ffffffffffffffff"
v list
rm "$T/repo/index/ffffffffffffffff"
v list; isnt "what nobody with the key wrote is not remembered" older

# Forgotten and pruned: no warning.
put_back "$T/two"
must list
must forget "$second"
v list; isnt "a forgotten snapshot" older
must prune
v list; isnt "a pruned one" older
v verify; exits 0 "verify"
snap "$T/src"; snap "$T/src"
newest=$(field snapshot)
must list
rm "$T/repo/snapshots/$newest"
v list; is "a snapshot taken away" older
snap "$T/src"
v verify --no-state; exits 0 "verify --no-state"

# An index made anew is no older one: neither for this user, nor for another one who has seen the old one.
rm -rf "$T/state"
must prune
for i in 1 2 3; do
	must forget latest
	must prune
	echo "again $i" >"$T/src/a"
	snap "$T/src"
done
must prune
must list
cp -a "$T/state" "$T/other"
must repair index
v list; isnt "repair index warns nobody" older
v verify; exits 0 "verify is clean after it"
run env VARVE_STATE_DIR="$T/other" "$VARVE" list; isnt "nor somebody else" older
must repair packs
run env VARVE_STATE_DIR="$T/other" "$VARVE" list; isnt "nor does repair packs" older
rm -rf "$T/repo/index" "$T/repo/parity/index"
must repair index
run env VARVE_STATE_DIR="$T/other" "$VARVE" list; isnt "nor when only damaged/ has the old tables" older
rm -rf "$T/repo/index" "$T/repo/parity/index" "$T/repo/damaged"
must repair index
v list; isnt "nor when only this user knows how far it was" older

# What cannot be remembered is no failure.
rm -rf "$T/state"
rm -rf "$T/state"
echo x >"$T/state"
v list; exits 0 "a file in place of the directory"
rm "$T/state"
run env -u VARVE_STATE_DIR HOME="$T/home" "$VARVE" list; exits 0 "in the home directory"
is "there it is" test -s "$T/home/.local/state/varve/"*
run env -u VARVE_STATE_DIR XDG_STATE_HOME="$T/xdg" "$VARVE" list; exits 0 "in XDG_STATE_HOME"
is "there it is, too" test -s "$T/xdg/varve/"*
v head 'nonsense'; exits 2 "no CHECK"
finish
