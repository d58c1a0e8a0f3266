#!/bin/bash
# What changes in place costs what changed: deltas of chunks, and of the lists that name them.
. "$(dirname "$0")/lib.sh"
init_repo
mkdir "$T/src"
noise "$T/src/disk" $((96 << 20)) disk
snap "$T/src"
before=$(repo_bytes)
"$PYTHON" - "$T/src/disk" <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    for i in range(10):
        f.seek(i * 9500000 + 12345)
        f.write(b"changed %d" % i)
PY
snap "$T/src"
atmost "ten places of 96 MiB changed" $(($(repo_bytes) - before)) 12000
must restore "latest:$T/src" --target "$T/back"
is "it comes back" cmp "$T/src/disk" "$T/back/disk"

# A log that grows: its last chunk has a base, what is new is all that is stored.
"$PYTHON" -c 'import sys; [print("%08d request from 10.0.%d.%d took %d ms" % (i, i % 251, i % 83, i * 7919 % 1000)) for i in range(400000)]' >"$T/src/log"
snap "$T/src"
before=$(repo_bytes)
"$PYTHON" -c 'import sys; [print("%08d request from 10.0.%d.%d took %d ms" % (i, i % 251, i % 83, i * 7919 % 1000)) for i in range(400000, 400200)]' >>"$T/src/log"
snap "$T/src"
atmost "a log grown by 9 KB" $(($(repo_bytes) - before)) 6000
finish
