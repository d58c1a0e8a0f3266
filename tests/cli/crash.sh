#!/bin/bash
# kill -9 at any moment: every snapshot that was reported is there and whole, the next run goes on (PB-2, PB-3, PB-5, GN-6).
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
for i in $(seq 1 30); do noise "$T/src/f$i" 300000 "crash $i"; done
init_repo
snap "$T/src"
reported=1
for round in $(seq 1 "${CRASH_ROUNDS:-25}"); do
	noise "$T/src/f$((round % 30 + 1))" 300000 "round $round"
	noise "$T/src/new$round" 1500000 "new $round"
	"$VARVE" snapshot --json "$T/src" >"$T/out.bg" 2>"$T/err" &
	pid=$!
	sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	! grep -q '"summary"' "$T/out.bg" || reported=$((reported + 1))
done
must list --json
found=$("$PYTHON" -c 'import json,sys; print(len(json.load(open(sys.argv[1]))))' "$T/out")
atmost "reported snapshots that are missing" $((reported - found)) 0
echo "# $found snapshots, $reported of them reported"
run "$PYTHON" "$TOP/tools/reader.py" "$T/repo" --key-file "$T/key" check
exits 0 "what is published is right"
for n in $(seq 0 $((found - 1))); do
	v restore "latest~$n" --target "$T/all/$n"
	[ "$status" = 0 ] || notok "snapshot latest~$n restores"
done
ok "every snapshot restores"
snap "$T/src"
must restore "latest:$T/src" --target "$T/dst"
is "the next snapshot is whole" diff -r "$T/src" "$T/dst"
run "$PYTHON" "$TOP/tools/reader.py" "$T/repo" --key-file "$T/key" check --scrub
exits 0 "the repository is right"
finish
