#!/bin/bash
# A repair killed at any rename: nothing is collected with half an index, and the next repair brings everything back (IX-11).
. "$(dirname "$0")/lib.sh"

MEDDLE=$(dirname "$VARVE")/tests/fault/meddle
[ -x "$MEDDLE" ] || MEDDLE=$TOP/build/gcc/release/tests/fault/meddle
if ! "$MEDDLE" -- true >/dev/null 2>&1; then
	skip "killed repairs" "no ptrace"
	finish
	exit 0
fi
mkdir "$T/src"
for i in $(seq 6); do noise "$T/src/f$i" 5000 "$i"; done
# The old files go in the order of their names: the second snapshot's segment has to be the first.
first='' second=''
until [[ $second < $first ]]; do
	rm -rf "$T/repo" "$T/key" "$T/src/new"
	init_repo
	snap "$T/src"
	first=$(field snapshot)
	echo more >"$T/src/new"
	snap "$T/src"
	second=$(field snapshot)
done
cp -a "$T/repo" "$T/good"

# Two snapshots whose counts lie in two segments: without one of them the other's chunks seem to be needed less.
lost='' said='' n=0
while :; do
	n=$((n + 1))
	rm -rf "$T/repo" "$T/back"
	cp -a "$T/good" "$T/repo"
	run env ASAN_OPTIONS=detect_leaks=0 "$MEDDLE" -c rename -n "$n" -k -- "$VARVE" repair index
	[ "$status" = 137 ] || break
	[ ! -e "$T/repo/index/ffffffffffffffff" ] || { v restore latest --target "$T/back"; said="$said$(grep -c 'cut short' "$T/err")"; }
	v forget "$first"
	v prune
	v repair index
	[ "$status" = 0 ] || lost="$lost $n:repair"
	v restore "$second:$T/src" --target "$T/back"
	[ "$status" = 0 ] && diff -r "$T/src" "$T/back" >/dev/null || lost="$lost $n:restore"
	v verify --read
	[ "$status" = 0 ] || lost="$lost $n:verify"
	[ ! -e "$T/repo/index/ffffffffffffffff" ] || lost="$lost $n:bar"
done
exits 0 "a repair that nobody kills"
is "several places to be killed at" test "$n" -gt 5
equal "repair index killed, then forget and prune: nothing is lost" "$lost" ""
is "what happened is said" test "$said" -gt 0
isnt "always" grep -q 0 <<<"$said"
finish
