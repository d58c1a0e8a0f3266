#!/bin/bash
# A stream as a file: from standard input and from a command whose failure must not look like a backup.
. "$(dirname "$0")/lib.sh"

init_repo
noise "$T/data" 3000000 stdin
status=0
"$VARVE" snapshot --json --stdin --name dump.sql <"$T/data" >"$T/out" 2>"$T/err" || status=$?
exits 0 "--stdin"
equal "bytes of it" "$(field bytes_total)" 3000000
run "$VARVE" ls latest
is "its name is in the snapshot" grep -q dump.sql "$T/out"
v find dump.sql
is "find finds it" grep -q dump.sql "$T/out"
path=$("$VARVE" find --json dump.sql | "$PYTHON" -c '
import json, sys
for line in sys.stdin:
    v = json.loads(line)
    if "path" in v:
        print(v["path"]); break')
"$VARVE" cat latest "$path" >"$T/back"
is "the same bytes come back" cmp "$T/data" "$T/back"

v snapshot --json --command 'echo one; echo two' --name out
exits 0 "--command"
"$VARVE" cat latest out >"$T/back" 2>"$T/err" || "$VARVE" cat latest /out >"$T/back" 2>"$T/err" || true
equal "its output" "$(tr '\n' ' ' <"$T/back")" "one two "
must list --json
number=$("$PYTHON" -c 'import json,sys; print(len(json.load(open(sys.argv[1]))))' "$T/out")
v snapshot --command 'echo half; exit 7' --name out
exits 1 "a command that fails"
v snapshot --command 'kill -9 $$' --name out
exits 1 "a command that is killed"
v snapshot --command 'no-such-program-here' --name out
exits 1 "a command that is not there"
must list --json
equal "no snapshot of them" "$("$PYTHON" -c 'import json,sys; print(len(json.load(open(sys.argv[1]))))' "$T/out")" "$number"
v snapshot --command 'true' --name empty
exits 0 "an empty stream"
v snapshot --stdin --name ../up
exits 2 "a name that leads out"
finish
