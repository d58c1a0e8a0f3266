#!/bin/bash
# Repositories written by somebody with the key and bad intentions: nothing outside the target, nothing raw on the terminal
# (TN-1, TN-6, LN-2, FR-5).
. "$(dirname "$0")/lib.sh"

mkdir "$T/outside"
echo precious >"$T/outside/precious"
before=$(listing "$T/outside")
make() {
	chmod -R u+w "$T/repo" 2>/dev/null || true
	rm -rf "$T/repo" "$T/in" "$T/key"
	init_repo
	run "$PYTHON" "$HERE/mkhostile.py" "$T/repo" "$T/key" "$1" "$T/outside"
	[ "$status" = 0 ] || { notok "mkhostile $1"; exit 1; }
	mkdir "$T/in"
}
clean() { # Control characters other than newline and tab, C1 among them.
	! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$T/out" "$T/err"
}

for case in dotdot absolute dot parent slash zero dotdot-dir empty link-and-dir dir-and-link duplicate unsorted link-to-root \
	length type missing deep; do
	make "$case"
	v restore latest --target "$T/in/dst" --verbose
	exits 4 "$case"
	is "$case: says nothing raw" clean
	equal "$case: what is good is restored" "$(cat "$T/in/dst/good" 2>&1)" good
	equal "$case: nothing beside the target" "$(ls "$T/in")" dst
	equal "$case: nothing outside" "$(listing "$T/outside")" "$before"
	v ls -R latest
	is "$case: ls says nothing raw" clean
done

# Two kinds under one inode number: no content may go through the link.
make hardlink
v restore latest --target "$T/in/dst"
equal "hardlink: nothing outside" "$(listing "$T/outside")$(cat "$T/outside/precious")" "${before}precious"
v restore latest --target "$T/in/dst" --verify
equal "hardlink: nothing outside the second time" "$(listing "$T/outside")$(cat "$T/outside/precious")" "${before}precious"

# A prepared target: its links are not followed either.
make unsorted
mkdir "$T/in/dst" && ln -s "$T/outside" "$T/in/dst/evil" && ln -s "$T/outside/precious" "$T/in/dst/good"
v restore latest --target "$T/in/dst"
equal "links in the target: nothing outside" "$(listing "$T/outside")$(cat "$T/outside/precious")" "${before}precious"

# A file in the way of a directory whose entries cannot be read.
make unsorted
mkdir "$T/in/dst" && echo mine >"$T/in/dst/evil"
v restore latest --target "$T/in/dst" --dry-run; exits 4 "a file in the way of a bad directory, dry run"
v restore latest --target "$T/in/dst" --verify; exits 4 "a file in the way of a bad directory"
equal "stays" "$(cat "$T/in/dst/evil")" mine

# Names that are legal and nasty.
make escape
for command in "list" "ls -R latest" "ls -l latest /evil" "find *" "stats" "diff latest latest" "list --json" "ls -R --json latest" "find --json *"; do
	set -f
	# shellcheck disable=SC2086
	v $command
	set +f
	is "escape: $command says nothing raw" clean
done
v restore latest --target "$T/in/dst" --verbose
exits 0 "escape"
is "escape: restore says nothing raw" clean
is "escape: the name is what it was" test -e "$T/in/dst/evil/"$'\e]0;title\a\e[31mred'
v restore latest --target "$T/in/dry" --dry-run
is "escape: a dry run says nothing raw" clean
v cat latest $'/evil/\e[0mno'
is "escape: an error says nothing raw" clean
finish
