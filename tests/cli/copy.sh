#!/bin/bash
# A repository that is copied while snapshots are made: the order that the README names gives a whole copy, and verify tells
# where something came in between that moved what had been copied.
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
init_repo
n=0
more() { # COUNT snapshots of something new
	for _ in $(seq "$1"); do
		n=$((n + 1))
		head -c 30000 /dev/urandom >"$T/src/f$n"
		snap "$T/src"
	done
}
copy() { # SNAPSHOTS...: so many are made after each step
	rm -rf "$T/copy"
	mkdir "$T/copy"
	find "$T/repo" -mindepth 1 -maxdepth 1 ! -name snapshots ! -name index ! -name packs -exec cp -a -t "$T/copy" {} +
	for part in snapshots index packs; do
		cp -a "$T/repo/$part" "$T/copy"
		more "$1"
		shift
	done
}
of_copy() { VARVE_REPOSITORY=$T/copy v "$@"; }

more 3
last=$(field snapshot)
cp -a "$T/src" "$T/then"
copy 1 1 1
of_copy verify --read
exits 0 "verify of a copy"
of_copy restore latest:"$T/src" --target "$T/back"
exits 0 "restore from a copy"
is "the latest is the one before the first step" diff -r "$T/then" "$T/back"
of_copy snapshot "$T/src" --json
exits 0 "snapshot into a copy"
equal "its parent" "$(field parent)" "$last"
of_copy forget "$last"
of_copy prune --max-unused 0
exits 0 "prune of a copy"
of_copy verify --read
exits 0 "and it is whole"

copy 0 33 0
of_copy verify
exits 4 "the index was folded before the packs were copied: verify"
copy 0 1 0
of_copy verify
exits 0 "copied again: verify"
finish
