#!/bin/bash
# Every command says how it is used; help and version work without a repository.
. "$(dirname "$0")/lib.sh"

must help
cp "$T/out" "$T/help"
for c in init snapshot list ls restore cat diff find sql forget undelete pin unpin prune verify scrub repair head stats key version help; do
	is "help lists $c" grep -Eq "^ *$c( |\$|,)" "$T/help"
	v help "$c"
	exits 0 "help $c"
	is "usage of $c" grep -qi "usage: varve $c\|varve $c" "$T/out"
done
for c in init snapshot list ls restore cat diff find sql forget undelete pin unpin prune verify scrub repair head stats key; do
	run "$VARVE" "$c" --help
	exits 0 "$c --help"
done
must version --json
must version
is "version names the program" grep -q '^varve [0-9]' "$T/out"
is "and every library" grep -q 'SQLite [0-9]' "$T/out"
must --version
must --help
must --json --version
equal "--json --version" "$(head -c 1 "$T/out")" "{"
must -V
is "-V as well" grep -q '^varve [0-9]' "$T/out"
must help key add
is "help of a subcommand is that of its command" grep -q "varve key add" "$T/out"
touch "$T/file"
v list -r "$T/file"; exits 10 "a file is no repository"
is "it is named" grep -q "no repository at '$T/file'" "$T/err"
mkdir "$T/empty"
v list -r "$T/empty"; exits 10 "nor is an empty directory"
is "it is named, too" grep -q "no repository at '$T/empty'" "$T/err"
init_repo
run setsid env -u VARVE_KEY_FILE "$VARVE" init "$T/asked"
is "without a terminal it is said how to give a secret" grep -q "use --key-file, --password-file or VARVE_PASSWORD" "$T/err"
head -c 3000000 /dev/zero >"$T/zeros"
snap "$T/zeros"
id=$(field snapshot)
( "$VARVE" cat latest "$T/zeros" 2>"$T/err" || true ) | head -c 1 >/dev/null
equal "a reader that has seen enough is no failure to tell" "$(cat "$T/err")" ""
v ls "${id^^}"; exits 0 "an id in upper case"
v pin "${id^^}"; exits 0 "also where only that record is read"
must unpin "$id"
snap "$T/zeros"
v ls --json "$(field snapshot)~1"; exits 0 "the one before an id"
run env DIR="$T/no-such" "$TOP/tools/demo.sh"; exits 2 "the demo of a directory that is not there"
v help frobnicate; exits 2 "help for nothing"
is "and it does not send to the help of help" grep -q "^varve: see 'varve help'\$" "$T/err"
v help lst
is "help knows what was meant" grep -q "did you mean 'list'" "$T/err"
for alias in create backup snapshots dump gc; do
	v help "$alias"
	exits 0 "help of the alias $alias"
done
run sh -c '"$VARVE" help >/dev/full'
isnt "a full stdout is an error" [ "$status" = 0 ]
finish
