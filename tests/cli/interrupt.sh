#!/bin/bash
# SIGINT in the middle of a first snapshot: what was stored is used again though no record names it (IX-8), nothing unfinished stays behind.
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
for i in $(seq 1 16); do noise "$T/src/f$i" 20000000 "interrupt $i"; done
init_repo
must init -r "$T/whole" --key-file "$T/key2"
must snapshot --json -r "$T/whole" --key-file "$T/key2" "$T/src"
whole=$(field bytes_stored)
rm -rf "$T/whole"

interrupted=
for try in 1 2 3 4 5; do
	"$VARVE" snapshot --json "$T/src" >"$T/out" 2>"$T/err" &
	pid=$!
	# About half of it is there, published or not: then the signal.
	for _ in $(seq 1 1000); do
		[ "$(repo_bytes)" -lt $((whole / (try + 1))) ] || break
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.02
	done
	kill -INT "$pid" 2>/dev/null || true
	status=0
	wait "$pid" || status=$?
	[ "$status" = 0 ] || { interrupted=1; break; }
	rm -rf "$T/repo" && init_repo
done
equal "the snapshot was interrupted" "$interrupted" 1
exits 130 "SIGINT"
equal "tmp/ is empty" "$(find "$T/repo/tmp" -mindepth 1 | wc -l)" 0
must list --json
equal "no snapshot was made" "$(tr -d ' \n' <"$T/out")" "[]"
kept=$(find "$T/repo/packs" "$T/repo/index" -type f -printf '%s\n' | awk '{s += $1} END {print s + 0}')
atmost "something was kept (bytes missing of 1 MB)" $((1000000 - kept)) 0
snap "$T/src"
second=$(field bytes_stored)
atmost "bytes stored by both runs, percent of one" $(((kept + second) * 100 / whole)) 105
must restore "latest:$T/src" --target "$T/dst"
is "it restores" diff -r "$T/src" "$T/dst"

# SIGTERM is the same; SIGKILL leaves at worst what the next one cleans or reuses.
noise "$T/src/more" 60000000 more
"$VARVE" snapshot "$T/src" >"$T/out" 2>"$T/err" &
pid=$!
sleep 0.1
kill -KILL "$pid" 2>/dev/null || true
wait "$pid" 2>/dev/null || true
snap "$T/src"
must restore "latest:$T/src" --target "$T/dst"
is "after SIGKILL the next snapshot restores" diff -r "$T/src" "$T/dst"

# A database helper that neither answers nor ends does not keep the snapshot from ending.
mkdir "$T/db" && sqlite3 "$T/db/app.db" 'create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n where i < 400000)
	insert into t select i, hex(randomblob(100)) from n'
"$VARVE" snapshot "$T/db" >"$T/out" 2>"$T/err" &
pid=$! helper=
for _ in $(seq 1 2000); do
	helper=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true) && helper=${helper%% *}
	[ "$(cat "/proc/$helper/comm" 2>/dev/null)" != varve-sqlite ] || break
	kill -0 "$pid" 2>/dev/null || break
	sleep 0.002
done
isnt "there is a helper" test -z "$helper"
kill -STOP "$helper" && kill -INT "$pid"
status=0
wait "$pid" || status=$?
exits 130 "SIGINT while the helper is stopped"
isnt "the helper is gone" kill -0 "$helper"
finish
