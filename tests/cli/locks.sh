#!/bin/bash
# Whoever reads or writes holds the lock; two writers at once are fine; no lock outlives its process (PB-1, PB-9).
. "$(dirname "$0")/lib.sh"

mkdir "$T/src" "$T/src2"
noise "$T/src/a" 3000000 a
noise "$T/src2/b" 3000000 b
cp "$T/src/a" "$T/src2/a"
init_repo
snap "$T/src"

cat >"$T/hold.py" <<'PY'
import fcntl, os, struct, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
open(sys.argv[2], "w").close()
time.sleep(float(sys.argv[3]))
PY
hold() { # SECONDS: somebody else has the exclusive lock, in the background.
	rm -f "$T/held"
	"$PYTHON" "$T/hold.py" "$T/repo/locks" "$T/held" "$1" &
	holder=$!
	for _ in $(seq 1 200); do [ ! -e "$T/held" ] || break; sleep 0.02; done
}
waits() { # NAME ARGUMENT...
	local name=$1 begin end
	shift
	hold 1.5
	begin=$(date +%s%N)
	v "$@"
	end=$(date +%s%N)
	wait "$holder"
	if [ "$status" = 11 ]; then
		ok "$name refuses"
	else
		exits 0 "$name"
		atmost "$name waits for the lock (ms missing of 1000)" $((1000 - (end - begin) / 1000000)) 0
	fi
}
waits snapshot snapshot "$T/src"
waits restore restore "latest:$T/src" --target "$T/dst"
waits cat cat "latest:$T/src/a"
hold 60
kill -KILL "$holder"
wait "$holder" 2>/dev/null || true
run timeout 20 "$VARVE" snapshot "$T/src"
exits 0 "a killed holder leaves no lock"

# Two writers with half of their content in common.
pids=
for s in src src2 src src2; do
	"$VARVE" snapshot --json "$T/$s" >"$T/out.$s" 2>"$T/err" &
	pids="$pids $!"
done
bad=0
for p in $pids; do wait "$p" || bad=1; done
equal "four writers at once succeed" "$bad" 0
run "$PYTHON" "$TOP/tools/reader.py" "$T/repo" --key-file "$T/key" check --scrub
exits 0 "the repository is right"
for s in src src2; do
	must restore "latest:$T/$s" --path "$T/$s" --target "$T/back-$s"
	is "$s comes back" diff -r "$T/$s" "$T/back-$s"
done
finish
