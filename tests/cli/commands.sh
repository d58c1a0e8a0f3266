#!/bin/bash
# Every command says how it is used; help and version work without a repository.
. "$(dirname "$0")/lib.sh"

must help
cp "$T/out" "$T/help"
for c in init snapshot list ls restore cat diff find sql forget undelete pin unpin prune stats key version help; do
	is "help lists $c" grep -Eq "^ *$c( |\$|,)" "$T/help"
	v help "$c"
	exits 0 "help $c"
	is "usage of $c" grep -qi "usage: varve $c\|varve $c" "$T/out"
done
for c in init snapshot list ls restore cat diff find sql forget undelete pin unpin prune stats key; do
	run "$VARVE" "$c" --help
	exits 0 "$c --help"
done
must version --json
must version
is "version names the program" grep -q '^varve [0-9]' "$T/out"
must --version
must --help
v help frobnicate; exits 2 "help for nothing"
for alias in create backup snapshots dump gc; do
	v help "$alias"
	exits 0 "help of the alias $alias"
done
run sh -c '"$VARVE" help >/dev/full'
isnt "a full stdout is an error" [ "$status" = 0 ]
finish
