#!/bin/bash
# What is left out, and what is not.
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/src"/{node_modules/x,cache/deep,keep/node_modules,marked,build,deep/er}
for f in a.txt b.log keep/c.log keep/important.log node_modules/x/y cache/deep/z keep/node_modules/n marked/m build/out deep/er/d.tmp deep/er/e; do
	echo "$f" >"$T/src/$f"
done
printf 'Signature: 8a477f597d28d172789f06886806bc55\n# cache\n' >"$T/src/cache/CACHEDIR.TAG"
: >"$T/src/marked/.nobackup"
head -c 300000 /dev/zero | tr '\0' x >"$T/src/big"
init_repo

# stored NAME WANTED OPTION...: the regular files of a snapshot with these options, by their names.
stored() {
	local name=$1 wanted=$2
	shift 2
	v snapshot --json "$@" "$T/src"
	[ "$status" = 0 ] || { notok "$name"; return; }
	rm -rf "$T/got"
	must restore "latest:$T/src" --target "$T/got"
	equal "$name" "$(cd "$T/got" && find . -type f -printf '%P\n' | LC_ALL=C sort | tr '\n' ' ')" "$wanted "
}

all='a.txt b.log big build/out cache/CACHEDIR.TAG cache/deep/z deep/er/d.tmp deep/er/e keep/c.log keep/important.log keep/node_modules/n marked/.nobackup marked/m node_modules/x/y'
without() { # names that a grep removes
	tr ' ' '\n' <<<"$all" | grep -Ev "$1" | tr '\n' ' ' | sed 's/ $//'
}
stored "no filter" "$all"
stored "a name at any depth" "$(without node_modules)" --exclude node_modules
stored "an anchored name" "$(without '^node_modules')" --exclude /node_modules
stored "a star" "$(without '\.log$')" --exclude '*.log'
stored "negation" "$(without 'b.log|c.log')" --exclude '*.log' --exclude '!important.log'
stored "--include after --exclude" "$(without 'b.log|c.log')" --exclude '*.log' --include important.log
stored "two stars" "$(without 'd.tmp')" --exclude 'deep/**/*.tmp'
stored "directories only" "$(without '^build')" --exclude 'build/'
stored "a class" "$(without '^(a.txt|b.log)$')" --exclude '/[ab].*'
printf '# comment\n\n*.log\n!keep/important.log\n/build\n' >"$T/patterns"
stored "--exclude-file" "$(without 'b.log|c.log|^build')" --exclude-file "$T/patterns"
stored "--exclude-larger-than" "$(without '^big')" --exclude-larger-than 100K
stored "--exclude-if-present" "$(without '^marked/m$')" --exclude-if-present .nobackup
stored "an absolute pattern" "$(without '^keep')" --exclude "$T/src/keep"

v snapshot --json --exclude-caches "$T/src"
exits 0 "--exclude-caches"
rm -rf "$T/got" && must restore "latest:$T/src" --target "$T/got"
isnt "content of a cache is left out" test -e "$T/got/cache/deep/z"
is "the rest is there" test -e "$T/got/a.txt"

# Patterns of restore start where those of snapshot do.
snap "$T/src"
back() { # NAME WANTED SNAP[:PATH] OPTION...
	local name=$1 wanted=$2
	shift 2
	rm -rf "$T/got"
	must restore "$@" --target "$T/got"
	equal "$name" "$(cd "$T/got" && find . -type f -printf '%P\n' | LC_ALL=C sort | tr '\n' ' ')" "$wanted "
}
back "restore SNAP:PATH, anchored there" "$(without '^node_modules')" "latest:$T/src" --exclude /node_modules
back "a slash in the middle" "$(without '^deep/er')" "latest:$T/src" --exclude deep/er
back "of the whole snapshot: anchored at its path" "$(without '^node_modules' | sed "s,[^ ]*,${T#/}/src/&,g")" latest --exclude /node_modules
back "an absolute pattern with restore" "$(without '^keep')" "latest:$T/src" --exclude "$T/src/keep"
echo extra >"$T/got/build/extra" && echo extra >"$T/got/extra"
must restore "latest:$T/src" --target "$T/got" --exclude /build --delete
is "--delete spares what is excluded" test -e "$T/got/build/extra" -a ! -e "$T/got/extra"
v restore "latest:$T/src" --target "$T/got" --include '*.log'; exits 2 "--include without --exclude"
v restore "latest:$T/src" --target "$T/none" --exclude '*'; exits 0 "nothing matches"
is "that is said" grep -q "no file matched" "$T/err"

v snapshot --exclude '[' "$T/src"
exits 2 "a malformed pattern"
v snapshot --json --dry-run "$T/src"
exits 0 "dry run"
equal "a dry run makes no snapshot" "$(field snapshot)" null
v snapshot --json --one-file-system "$T/src"
exits 0 "--one-file-system"
finish
