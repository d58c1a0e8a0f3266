#!/bin/bash
# What is there already is not stored twice: shifted content, renamed directories, equal files.
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/src"
noise "$T/src/large" "${DEDUP_BYTES:-1073741824}" dedup
init_repo
snap "$T/src"
before=$(repo_bytes)
{ head -c 65536 /dev/urandom; cat "$T/src/large"; } >"$T/shifted"
mv "$T/shifted" "$T/src/large"
snap "$T/src"
atmost "bytes stored for 64 KiB at the front of 1 GiB" $(($(repo_bytes) - before)) 1048576
rm "$T/src/large"

mkdir -p "$T/src/many/sub"
"$PYTHON" - "$T/src/many" <<'PY'
import sys
for i in range(10000):
    with open("%s/%sfile-%05d" % (sys.argv[1], "sub/" if i % 3 else "", i), "w") as f:
        f.write("content number %d\n" % i * 20)
PY
snap "$T/src"
data_before=$(find "$T/repo/packs" -type f | wc -l)
mv "$T/src/many" "$T/src/renamed"
snap "$T/src"
atmost "bytes new after a directory of 10,000 files was renamed" "$(field bytes_new)" 262144
new=$(($(find "$T/repo/packs" -type f | wc -l) - data_before))
atmost "packs made for it (nodes only)" "$new" 1
pack=$(find "$T/repo/packs" -type f -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
if [ "$new" = 0 ]; then ok "no data pack"; else
	equal "kind of that pack (2: nodes, PK-4)" "$(od -An -tu4 -j12 -N4 "$pack" | tr -d ' ')" 2
fi

cp -R "$T/src/renamed" "$T/src/copy"
snap "$T/src"
atmost "bytes new after a copy of that directory" "$(field bytes_new)" 2097152
finish
