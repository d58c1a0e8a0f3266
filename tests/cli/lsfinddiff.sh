#!/bin/bash
# Looking into snapshots: ls, cat, find, diff, stats.
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/src/docs/deep" "$T/src/data"
echo one >"$T/src/docs/one.md"; echo two >"$T/src/docs/deep/two.md"
noise "$T/src/data/blob" 500000 ls
ln -s docs "$T/src/link"
init_repo
snap --time 2026-02-01T00:00:00Z "$T/src"; first=$(field snapshot)
echo changed >"$T/src/docs/one.md"; rm "$T/src/docs/deep/two.md"; echo new >"$T/src/docs/three.md"
chmod 600 "$T/src/data/blob"
snap --time 2026-02-02T00:00:00Z "$T/src"; second=$(field snapshot)

must ls latest "$T/src"
is "ls shows a directory" grep -q docs "$T/out"
must ls latest "$T/src/docs"
is "ls of a directory" grep -q three.md "$T/out"
isnt "ls does not descend" grep -q two.md "$T/out"
must ls -R "$first" "$T/src"
is "ls -R descends" grep -q two.md "$T/out"
must ls -l latest "$T/src"
is "ls -l shows targets" grep -q -e '-> docs' "$T/out"

must cat "$first" "$T/src/docs/one.md"; equal "cat, the old content" "$(cat "$T/out")" one
must cat "latest:$T/src/docs/one.md"; equal "cat SNAP:PATH" "$(cat "$T/out")" changed
"$VARVE" cat latest "$T/src/data/blob" >"$T/blob"; is "cat of many chunks" cmp "$T/src/data/blob" "$T/blob"
v cat latest "$T/src/docs"; isnt "cat of a directory is an error" [ "$status" = 0 ]
v dump latest "$T/src/docs/one.md"; equal "the alias dump" "$(cat "$T/out")" changed

must find two.md
is "find names the path" grep -q "docs/deep/two.md" "$T/out"
is "find names the snapshot" grep -q "${first:0:8}" "$T/out"
isnt "find names no other" grep -q "${second:0:8}" "$T/out"
must find '*.md'
equal "find with a pattern" "$(grep -c '\.md' "$T/out")" 4
v find no-such-thing; equal "nothing found, nothing said on stdout" "$(cat "$T/out")" ""

must diff "$first" "$second"
is "diff: added" grep -E '^ *\+ .*three\.md' "$T/out"
is "diff: removed" grep -E '^ *- .*two\.md' "$T/out"
is "diff: changed" grep -E '^ *M .*one\.md' "$T/out"
isnt "diff: unchanged is silent" grep -E 'link' "$T/out"
must diff --json latest~1 latest
"$PYTHON" - "$T/out" <<'PY' >"$T/paths"
import json, sys
for line in open(sys.argv[1]):
    v = json.loads(line)
    if "path" in v:
        print(v["path"])
PY
is "diff --json names paths" grep -q three.md "$T/paths"
must diff "$second" "$second"
isnt "a snapshot does not differ from itself" grep -E '^ *[-+M] ' "$T/out"

v diff "latest~1:$T/src" latest:/none; exits 1 "diff of what is not there"
is "it names the snapshot that has it not" grep -q "the second snapshot has no '/none'" "$T/err"
v diff latest~1:/none "latest:$T/src"
is "and the other one" grep -q "the first snapshot has no '/none'" "$T/err"
v undelete latest; exits 1 "undelete of nothing"
is "undelete says where it looked" grep -q "among the forgotten ones .*: no snapshot 'latest': there is none" "$T/err"
must verify "$second"
isnt "one of a kind has no plural" grep -Eq '(^|[^0-9.])1 (chunk|pack|snapshot)s' "$T/out"
must restore latest "$("$VARVE" find three.md -0 | tr -d "\\0")" --target "$T/one" --verify
is "one file was verified" grep -q '^verified: 1 file$' "$T/out"

must stats; is "stats says something" test -s "$T/out"
isnt "and nothing of what was never measured" grep -q 'different' "$T/out"
must stats --json
must snapshots --json; equal "the alias snapshots" "$("$PYTHON" -c 'import json,sys; print(len(json.load(open(sys.argv[1]))))' "$T/out")" 2
must backup --json "$T/src"; equal "the alias backup" "$(field files)" 3
finish
