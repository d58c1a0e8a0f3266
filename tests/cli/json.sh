#!/bin/bash
# Every --json output is JSON: one object per line with a summary at the end, list one array.
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
echo x >"$T/src/file"; echo y >"$T/src/"$'bad\xff\e[1mname'
init_repo
lines() { # NAME ARGUMENT...
	local name=$1
	shift
	v "$@"
	[ "$status" = 0 ] || { notok "$name"; return; }
	is "$name" "$PYTHON" - "$T/out" <<'PY'
import json, sys
data = open(sys.argv[1], "rb").read()
assert b"\x1b" not in data, "raw ESC"
text = data.decode("utf-8")
rows = [json.loads(line) for line in text.split("\n") if line]
assert rows, "no output"
if not isinstance(rows[0], list):
    assert all(isinstance(r, dict) and "type" in r for r in rows), "a line without a type"
    assert rows[-1]["type"] == "summary", "the last line is no summary"
PY
}
lines init init --json -r "$T/second" --key-file "$T/key2"
lines snapshot snapshot --json "$T/src"
"$PYTHON" - "$T/out" >"$T/missing" <<'PY'
import json, sys
last = json.loads([l for l in open(sys.argv[1]) if l.strip()][-1])
want = "snapshot parent files dirs files_new files_changed files_unmodified databases bytes_read bytes_total bytes_new bytes_stored seconds errors"
print(*[w for w in want.split() if w not in last])
PY
equal "the summary of snapshot is complete" "$(cat "$T/missing")" ""
stored=$(field bytes_stored)
must list --json
equal "list has the same bytes_stored" "$("$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))[-1]["bytes_stored"])' "$T/out")" "$stored"
must stats --json
equal "so has stats" "$(field bytes_stored)" "$stored"
must snapshot --json --dry-run "$T/src"
equal "a dry run does not know it" "$(field bytes_stored)" null
lines snapshot-verbose snapshot --json --verbose "$T/src"
lines list list --json
lines ls ls --json latest "$T/src"
is "a name that is not UTF-8 has its bytes" grep -q name_b64 "$T/out"
lines find find --json file
lines diff diff --json latest~1 latest
lines stats stats --json
lines restore restore --json latest --target "$T/dst"
lines restore-dry-run restore --json --dry-run latest --target "$T/dst2"
lines forget-dry-run forget --json --dry-run --keep-last 1
lines pin pin --json latest
lines unpin unpin --json latest
lines forget forget --json latest
lines undelete undelete --json latest
lines prune prune --json --keep-last 1
"$PYTHON" - "$T/out" >"$T/missing" <<'PY'
import json, sys
last = json.loads([l for l in open(sys.argv[1]) if l.strip()][-1])
print(*[w for w in "snapshots_removed chunks_removed bytes_freed bytes_rewritten seconds".split() if w not in last])
PY
equal "the summary of prune is complete" "$(cat "$T/missing")" ""
lines key-list key list --json
lines version version --json
must list --json
equal "list is one array" "$(head -c 1 "$T/out")" "["
finish
