#!/bin/bash
# forget, undelete, pin, unpin: what goes, what stays and why (PB-10, SR-3, SR-5).
. "$(dirname "$0")/lib.sh"

export TZ=CET-1CEST,M3.5.0,M10.5.0/3
mkdir "$T/src" "$T/other"
init_repo
at() { # TIME ARGUMENT...: a snapshot made at that time; sets $id.
	local when=$1
	shift
	echo "$when $*" >"$T/src/file"
	snap --time "$when" "$@"
	id=$(field snapshot)
}
ids() { must list --json "$@"; "$PYTHON" -c 'import json,sys; print(*[s["time"][5:16] for s in json.load(open(sys.argv[1]))])' "$T/out"; }
kept() { # of the last dry run: TIME=REASONS ...
	"$PYTHON" - "$T/out" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    r = json.loads(line)
    if r["type"] == "snapshot" and r["action"] == "keep":
        print(r["time"][5:16] + "=" + "+".join(w.replace(" ", "-") for w in r["reasons"]), end=" ")
PY
}

at 2026-10-24T12:00 --host a "$T/src"
one=$id
at 2026-10-25T02:30+02:00 --host a "$T/src"
at 2026-10-25T02:30+01:00 --host a --tag keep,x "$T/src"
tagged=$id
at 2026-10-25T23:00 --host a "$T/src"
at 2026-10-26T01:00 --host a "$T/src"
at 2026-10-26T02:00 --host b "$T/src"
at 2026-10-26T03:00 --host a "$T/other"
before=$(repo_bytes)

must forget --json "$one"
equal "one is forgotten" "$(field snapshots_forgotten)" 1
equal "it is not listed" "$(ids)" "10-25T00:30 10-25T01:30 10-25T22:00 10-26T00:00 10-26T01:00 10-26T02:00"
equal "but among the forgotten" "$(ids --forgotten)" "10-24T10:00"
equal "nothing is deleted" "$(repo_bytes)" "$before"
v restore "$one" --target "$T/x"
equal "it cannot be restored by its id" "$status" 1
v forget "$one"
equal "it cannot be forgotten twice" "$status" 1
must undelete --json "$one"
is "the file is the same" test -e "$T/repo/snapshots/$one"
v undelete "$one"
equal "it cannot come back twice" "$status" 1
must restore "$one" --target "$T/x"

must forget --keep-hourly 3 --dry-run --json
equal "by hours; the hour that was there twice is two" "$(kept)" \
	"10-25T01:30=hourly 10-25T22:00=hourly 10-26T00:00=hourly+newest 10-26T02:00=hourly+newest 10-26T01:00=hourly+newest "
equal "dry-run says what would go" "$(field snapshots_forgotten)" 2
is "and what it would free" test "$(field bytes_freed)" -gt 0
equal "dry-run changes nothing" "$(ids --forgotten)" ""
must forget --keep-daily 9 --host a --path "$T/src" --dry-run --json
equal "by days of the local zone, one host and path" "$(kept)" "10-24T10:00=daily 10-25T22:00=daily 10-26T00:00=daily+newest "
must forget --keep-last 1 --group-by none --dry-run --json
equal "without groups one newest stays" "$(kept)" "10-26T02:00=last+newest "
must forget --keep-last 1 --group-by host --dry-run --json
equal "grouped by host" "$(kept)" "10-26T02:00=last+newest 10-26T01:00=last+newest "
must forget --keep-last 1 --group-by host,paths,tags --dry-run --json
equal "grouped by tags too: the tagged one is a group" "$(kept | wc -w)" 4
must forget --keep-within 1d --host a --path "$T/src" --dry-run --json
equal "within a day of the newest" "$(kept)" "10-25T00:30=within 10-25T01:30=within 10-25T22:00=within 10-26T00:00=within+newest "
must forget --keep-tag x --host a --path "$T/src" --dry-run --json
equal "by tag" "$(kept)" "10-25T01:30=tag 10-26T00:00=newest "
must forget --keep-tag keep,y --host a --path "$T/src" --dry-run --json
equal "by two tags, which none has" "$(kept)" "10-26T00:00=newest "
must forget --older-than 1000w --dry-run --json
equal "all are younger" "$(field snapshots_forgotten)" 0

at 2099-01-01T00:00 --host a "$T/src"
must forget --keep-last 1 --host a --path "$T/src" --dry-run --json
equal "one of the future stays and takes no place" "$(kept)" "10-26T00:00=last+newest 12-31T23:00=future "
must forget "$id" --dry-run
is "a dry run says so" grep -q '^dry run: 1 snapshot would be forgotten$' "$T/out"
must forget "$id"
equal "of named ones none is said to be kept" "$(head -n 1 "$T/out")" "1 snapshot forgotten"

must pin "$one"
must pin "$one"
v forget "$one"
exits 2 "a pinned one is not forgotten by its id"
must forget --keep-last 1 --host a --path "$T/src" --json
is "nor by a rule" test -e "$T/repo/snapshots/$one"
isnt "the tagged one went" test -e "$T/repo/snapshots/$tagged"
must unpin "$one"
must forget --host a --path "$T/src"
isnt "an unpinned one goes" test -e "$T/repo/snapshots/$one"
equal "without a rule the newest of each group stays" "$(ids)" "10-26T00:00 10-26T01:00 10-26T02:00"
must forget --host a --path "$T/src"
is "when all stay it says why" grep -q '^the newest of each group stays' "$T/out"
must forget latest
equal "the newest goes when it is named" "$(ids)" "10-26T00:00 10-26T01:00"
must list
must forget -v --keep-last 1
is "the table names the rule" grep -q '^keep .*  last, newest' "$T/out"
isnt "no line ends with blanks" grep -q ' $' "$T/out"

must undelete "$one"
v forget "$one" "$one" --dry-run --json
equal "named twice it goes once" "$(field snapshots_forgotten)" 1
must pin "$one"
mv "$T/repo/snapshots/$one" "$T/repo/forgotten/$one"
must prune
is "prune leaves a pinned one that was forgotten at the same moment" test -e "$T/repo/forgotten/$one"
must undelete "$one"
must restore "$one" --target "$T/y"
is "and it is whole" diff -r "$T/x" "$T/y"

# A crash where a rename is a link and an unlink.
ln "$T/repo/snapshots/$one" "$T/repo/forgotten/$one"
must prune
must restore "$one" --target "$T/z"
must unpin "$one"
must forget "$one"
isnt "forget finishes what a crash left half" test -e "$T/repo/snapshots/$one"
ln "$T/repo/forgotten/$one" "$T/repo/snapshots/$one"
must undelete "$one"
isnt "so does undelete" test -e "$T/repo/forgotten/$one"

for bad in "" "$one --keep-last 1" "--keep-last x" "--keep-within 3" "--group-by host --older-than 1d" "--keep-last 1 --group-by a" \
	"latest:/x"; do
	# shellcheck disable=SC2086
	v forget $bad
	exits 2 "forget $bad"
done
v pin 0123; exits 1 "pin what is not there"
v undelete; exits 2 "undelete nothing"
v prune --host a; exits 2 "prune of one host without a rule"

# A record that cannot be read stays where it is.
head -c 100 "$T/repo/snapshots/$one" >"$T/cut"
cp "$T/cut" "$T/repo/forgotten/00000000000000000000000000000001"
v prune
exits 4 "a damaged forgotten record is reported"
is "and stays" test -e "$T/repo/forgotten/00000000000000000000000000000001"
# A record that cannot be read may be the one that is meant: nothing is forgotten by its place in time then.
rm -rf "$T/repo"
init_repo
echo 1 >"$T/one"
snap "$T/one"; keep=$(field snapshot)
echo 2 >"$T/one"
snap "$T/one"
echo 3 >"$T/one"
snap "$T/one"; hurt=$(field snapshot)
printf XXXXXXXX | dd of="$T/repo/snapshots/$hurt" bs=1 seek=200 conv=notrunc status=none
v forget latest~1
exits 4 "forget by place in time beside a damaged record"
is "nothing was forgotten" test -e "$T/repo/snapshots/$keep"
v forget "$keep"
exits 0 "by its id it can be"

# Old states stored late under their own times are neither the last nor the newest.
rm -rf "$T/repo"
init_repo
snap "$T/src"
now=$(field snapshot)
at 2019-01-01T00:00 "$T/src"
at 2020-01-01T00:00 "$T/src"
must forget --older-than 1d --dry-run --json
equal "by age all old states go" "$(field snapshots_forgotten)" 2
must prune --keep-last 2
is "the newest by time is one of the last two" test -e "$T/repo/snapshots/$now"
must snapshot -q --time 2019-01-01T00:00 --prune-after --keep-last 1 "$T/src"
is "and stays when one with an old time prunes" test -e "$T/repo/snapshots/$now"
finish
