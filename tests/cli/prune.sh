#!/bin/bash
# prune: what only forgotten snapshots hold goes, everything else stays; interrupted anywhere it goes on (PB-4 … PB-7, FR-6).
. "$(dirname "$0")/lib.sh"

checked() {
	run "$PYTHON" "$TOP/tools/reader.py" "$T/repo" --key-file "$T/key" check --scrub
	exits 0 "$1"
}
mkdir -p "$T/src/dir"
init_repo
for i in $(seq 1 40); do noise "$T/src/dir/f$i" 30000 "f $i"; done
snap "$T/src"
cp -a "$T/src" "$T/first"
empty=$(repo_bytes)
noise "$T/src/big" 3000000 big
snap "$T/src"
big=$(field snapshot)
rm "$T/src/big"
echo changed >"$T/src/dir/f1"
snap "$T/src"
cp -a "$T/src" "$T/last"
full=$(repo_bytes)

must prune --json
equal "nothing is forgotten, nothing goes" "$(field snapshots_removed) $(field chunks_removed)" "0 0"
must forget "$big"
must prune --dry-run --json
foreseen=$(field bytes_freed)
is "dry-run sees the large file" test "$foreseen" -ge 3000000
equal "dry-run leaves it" "$(must list --forgotten --json; field 0.id 2>/dev/null || echo there)" there
must prune --json
equal "one is removed" "$(field snapshots_removed)" 1
is "its chunks too" test "$(field chunks_removed)" -ge 10
is "as many bytes as foreseen" test "$(field bytes_freed)" -ge "$foreseen"
atmost "the repository shrinks" $(($(repo_bytes) - empty)) 60000
is "it was large" test $((full - empty)) -ge 3000000
checked "counts after prune"
v undelete "$big"
equal "a pruned one cannot come back" "$status" 1
must restore "latest:$T/src" --target "$T/new"
is "the last snapshot is whole" diff -r "$T/last" "$T/new"
must restore "latest~1:$T/src" --target "$T/old"
is "the first one too" diff -r "$T/first" "$T/old"

# What a killed prune left: the head says that it is dead, the files are still there.
cp -a "$T/src/dir" "$T/src/dir2"
noise "$T/src/big" 2000000 again
snap "$T/src"
id=$(field snapshot)
must forget "$id"
cp -a "$T/repo/forgotten/$id" "$T/record"
must prune
cp -a "$T/record" "$T/repo/forgotten/$id"
v undelete "$id"
equal "what the head calls collected cannot come back" "$status" 1
v verify; exits 0 "a record that is still to be swept is no damage"
snap "$T/src"
must prune
isnt "the next prune sweeps it" test -e "$T/repo/forgotten/$id"
checked "counts after that"

# Policy and prune in one go; then the hourly job that does both.
for i in $(seq 1 9); do
	echo "$i" >"$T/src/dir/f2"
	snap "$T/src"
done
must prune --keep-last 3 --json
equal "prune with a rule" "$(field snapshots_forgotten) $(field snapshots_kept) $(field snapshots_removed)" "9 3 9"
snap --host elsewhere "$T/src"
for i in $(seq 1 3); do
	echo "hourly $i" >"$T/src/dir/f2"
	must snapshot "$T/src" --prune-after --keep-last 2 --json
done
equal "snapshot --prune-after" "$(field snapshots_kept) $(field snapshots_removed)" "2 1"
must list --json
equal "only of its own host and paths" "$("$PYTHON" -c 'import json,sys; print(len(json.load(open(sys.argv[1]))))' "$T/out")" 3
v snapshot "$T/src" --keep-last 2
exits 2 "--keep-last without --prune-after"
checked "counts after all"

# Packs of which much is dead are rewritten, and only those.
rm -rf "$T/src"
mkdir "$T/src"
for i in $(seq 1 60); do noise "$T/src/f$i" 40000 "dense $i"; done
snap --host rewrite "$T/src"
dense=$(field snapshot)
rm "$T/src"/f?
snap --host rewrite "$T/src"
must forget "$dense"
must prune --max-unused 50% --json
equal "less than may be unused stays" "$(field bytes_rewritten)" 0
snap --host rewrite "$T/src" --tag again
must prune --max-rewrite 0 --max-unused 0 --json
equal "--max-rewrite 0 rewrites nothing" "$(field bytes_rewritten)" 0
before=$(repo_bytes)
must prune --max-unused 0 --json
is "what is dead is rewritten away" test "$(field bytes_rewritten)" -ge 1900000
is "nine files are gone" test $((before - $(repo_bytes))) -ge 350000
checked "counts after rewriting"
must restore "latest:$T/src" --host rewrite --target "$T/dense"
is "what lived is whole" diff -r "$T/src" "$T/dense"
must prune --max-unused 0 --json
equal "then there is nothing to do" "$(field bytes_rewritten) $(field bytes_freed)" "0 0"
for bad in "--max-unused x" "--max-unused 200%" "--max-rewrite x"; do
	# shellcheck disable=SC2086
	v prune $bad
	exits 2 "prune $bad"
done

# Small packs come together.
for i in $(seq 1 12); do
	echo "small $i" >"$T/src/small"
	snap --host rewrite "$T/src"
done
before=$(find "$T/repo/packs" -type f | wc -l)
must prune
is "small packs are merged" test "$(find "$T/repo/packs" -type f | wc -l)" -le $((before - 14))
checked "counts after merging"
must restore "latest~11:$T/src" --host rewrite --target "$T/merged"
equal "an older one is whole" "$(cat "$T/merged/small")" "small 1"

# kill -9 at any moment.
mkdir "$T/src/dir"
for round in $(seq 1 "${PRUNE_ROUNDS:-15}"); do
	noise "$T/src/dir/r$((round % 5))" 400000 "round $round"
	snap "$T/src"
	must forget latest~1
	"$VARVE" prune --max-unused $((round % 3 * 3)) >"$T/out.bg" 2>"$T/err" &
	pid=$!
	sleep "0.0$((RANDOM % 3))$((RANDOM % 10))"
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	if [ $((round % 5)) = 0 ]; then
		run "$PYTHON" "$TOP/tools/reader.py" "$T/repo" --key-file "$T/key" check
		[ "$status" = 0 ] || notok "the repository is right after round $round"
	fi
done
must prune
checked "counts after killed prunes"
must restore "latest:$T/src" --target "$T/final"
is "the last snapshot is whole after all" diff -r "$T/src" "$T/final"
equal "tmp/ is empty" "$(find "$T/repo/tmp" -type f | wc -l)" 0
equal "nothing forgotten is left" "$(find "$T/repo/forgotten" -type f | wc -l)" 0

# A prune that was killed before its sweep leaves packs with dead blocks, whose bases are gone while their chunks live elsewhere (FR-6).
rm -rf "$T/src"
mkdir "$T/src"
export VARVE_REPOSITORY=$T/unswept
must init
noise "$T/src/f" 6000000 large
split -a 3 -b 16000 "$T/src/f" "$T/src/f."
rm "$T/src/f"
snap "$T/src"
must prune
for i in $(seq 1 14); do
	echo "chain $i" >"$T/src/small"
	snap "$T/src"
done
must forget latest~3 latest~4 latest~5
cp -a "$T/unswept/packs" "$T/packs"
must prune
is "a table is kept underneath, so that the head tells of packs that died" test "$(find "$T/unswept/index" -type f | wc -l)" -ge 2
before=$(find "$T/unswept/packs" -type f | wc -l)
cp -a "$T/packs/." "$T/unswept/packs/"
is "what is dead is there again" test "$(find "$T/unswept/packs" -type f | wc -l)" -gt "$before"
run "$PYTHON" "$TOP/tools/reader.py" "$T/unswept" --key-file "$T/key" check
exits 0 "dead blocks without their bases are no damage"
v verify --read
exits 0 "nor to verify"
export VARVE_REPOSITORY=$T/repo
finish
