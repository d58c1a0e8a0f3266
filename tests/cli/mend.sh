#!/bin/bash
# Every bit, length and object of a small repository with parity comes back (PA-3, PA-5); MEND=all for every one, else so many.
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
for i in 1 2 3; do noise "$T/src/f$i" 1000 "f $i"; done
noise "$T/src/big" 24000 big
must init --key-file "$VARVE_KEY_FILE" --parity
for i in 1 2 3; do
	echo "$i" >"$T/src/f1"
	snap "$T/src"
done
must forget latest~1
must forget latest~1
must prune
echo more >"$T/src/f1"
snap "$T/src"
must forget latest~1
bytes=$(find "$T/repo" -type f ! -name reserve -printf '%s\n' | awk '{s += $1} END {print s}')
is "64 KiB in all: $bytes" test "$bytes" -ge 65536

parts=1
[ "${MEND:-200}" != all ] || parts=$(nproc)
pids=()
for part in $(seq 0 $((parts - 1))); do
	cp -a "$T/repo" "$T/repo$part"
	if [ "$parts" = 1 ]; then
		"$BUILD/tests/prop/prop_mend" "$T/repo$part" "${MEND:-200}" "$RANDOM" >"$T/mended.$part" 2>&1 &
	else
		"$BUILD/tests/prop/prop_mend" "$T/repo$part" all "$part" "$parts" >"$T/mended.$part" 2>&1 &
	fi
	pids+=($!)
done
for part in $(seq 0 $((parts - 1))); do
	if wait "${pids[$part]}"; then
		ok "$(sed -n 's/^ok - //p' "$T/mended.$part")"
	else
		notok "everything mends"
		head -n 20 "$T/mended.$part"
	fi
done
must verify --read
finish
