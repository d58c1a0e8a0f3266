#!/bin/bash
# Sidecars: everything but data packs has one, and data packs if asked for; scrub --repair brings every object back (PA-1 to PA-6).
. "$(dirname "$0")/lib.sh"

mkdir "$T/src"
for i in 1 2 3; do noise "$T/src/f$i" 30000 "f $i"; done
noise "$T/src/big" 150000 big
must init --key-file "$VARVE_KEY_FILE" --parity
snap "$T/src"
echo more >"$T/src/f1"
snap "$T/src"
forgotten=$(field snapshot)
echo again >"$T/src/f1"
snap "$T/src"

objects() { (cd "$T/repo" && find varve-repo keys index snapshots forgotten packs -type f -printf '%f\n' | sort); }
sidecars() { (cd "$T/repo/parity" && find . -type f ! -name 'data-*' -printf '%f\n' | sort); }
checked() {
	run "$PYTHON" "$TOP/tools/reader.py" "$T/repo" --key-file "$T/key" check --scrub
	exits 0 "$1"
}
equal "every object has a sidecar" "$(sidecars)" "$(objects)"
is "the policy is a file's name" test -e "$T/repo/parity/data-4-128-65536"
checked "the second reader recomputes all parity"
must scrub --json
equal "everything is proven without a key" "$(field proven) $(field sidecars)" "$(field objects) $(field objects)"

must forget "$forgotten"
must scrub --json
equal "forgetting moves nothing" "$(field ok) $(field sidecars)" "true $(field objects)"
cp -a "$T/repo" "$T/aside"
rm "$T/repo/forgotten/$forgotten"
must scrub --repair
is "a lost record comes back" test -e "$T/repo/snapshots/$forgotten"
rm -rf "$T/repo"
mv "$T/aside" "$T/repo"
must prune
equal "prune takes the sidecars with it" "$(sidecars)" "$(objects)"
checked "after prune"

noise "$T/secret" 32 secret
must key add --new-key-file "$T/secret"
equal "a new slot has a copy" "$(sidecars)" "$(objects)"
for s in $(ls "$T/repo/keys"); do
	v key remove "$s"
	[ "$status" != 0 ] || slot=$s
done
isnt "a removed slot leaves no copy" test -e "$T/repo/parity/keys/$slot"
must scrub --repair
isnt "and does not come back" test -e "$T/repo/keys/$slot"

cp -a "$T/repo" "$T/good"
run "$PYTHON" "$TOP/tests/cli/mend.py" "$VARVE" "$T/repo" "${SEED:-$RANDOM}"
if [ "$status" = 0 ]; then
	ok "every object mends: $(grep -c '^ok' "$T/out")"
else
	notok "every object mends"
	cat "$T/out" "$T/err"
fi
checked "and everything is as it was"

# More than parity can bring back: said, and nothing is touched.
head -c 3000000 /dev/urandom >"$T/src/large"
snap "$T/src"
pack=$(find "$T/repo/packs" -type f -size +2000k -printf 'packs/%P\n' | head -n 1)
spoil() { # BLOCK...: of 64 KiB
	local b
	for b in "$@"; do head -c 5000 /dev/urandom | dd of="$T/repo/$pack" bs=65536 seek="$b" conv=notrunc status=none; done
}
cp "$T/repo/$pack" "$T/pack"
spoil 1 5 6 20
v scrub --repair
exits 0 "four bad blocks"
is "the pack is as it was" cmp "$T/pack" "$T/repo/$pack"
equal "the damaged one is kept" "$(ls "$T/repo/damaged")" "packs-${pack##*/}"
spoil 0 3 8 9 31
cp "$T/repo/$pack" "$T/spoilt"
whole() { (cd "$T/repo" && find . -type f ! -path "./verified/*" -exec sha256sum {} + | LC_ALL=C sort -k 2); }
whole >"$T/before"
v scrub --repair
exits 4 "five bad blocks"
is "the file is named that loses content" grep -qx "  needed by: $T/src/large" "$T/out"
isnt "no other file is" grep -q "needed by: $T/src/f2" "$T/out"
is "and the snapshot" grep -q "^  snapshots: [0-9a-f]\{8\}" "$T/out"
is "what to do" grep -q "^what to do: 'varve repair packs'" "$T/out"
is "the failure is one" grep -q "1 object is damaged or missing and cannot be repaired; a restore" "$T/err"
v verify --read
needed=$(grep '^  needed by: ' "$T/out")
v scrub --repair
equal "verify names the same files" "$(grep '^  needed by: ' "$T/out")" "$needed"
v scrub --repair --json
exits 4 "the same as JSON"
equal "the summary is the last" "$(field type)" summary
is "with the files before it" grep -q '"type":"lost".*"path":"'"$T/src/large" "$T/out"
(unset VARVE_KEY_FILE; v scrub --repair </dev/null; exit "$status") || status=$?
exits 4 "without a key"
isnt "no file can be named" grep -q "needed by" "$T/out"
is "but what names them" grep -qF "'varve verify --read --repo $T/repo' names the files that are lost" "$T/err"
run "$VARVE" scrub --repair --key-file "$T/secret"
exits 4 "with another repository's key"
is "it says why" grep -q "the files cannot be named: " "$T/err"
is "and what names them" grep -qF "'varve verify --read --repo $T/repo' names the files" "$T/err"
whole >"$T/after"
is "nothing is made worse" cmp "$T/before" "$T/after"
is "it says so" grep -q "^$pack: cannot be repaired: more blocks are lost than parity can bring back" "$T/out"
is "nothing is touched" cmp "$T/spoilt" "$T/repo/$pack"
equal "nothing is set aside" "$(ls "$T/repo/damaged" | wc -l)" 1
# The pack is gone: its sidecar alone is not enough; nor is no sidecar.
rm -r "$T/repo/damaged/"*
for side in with without; do
	rm -f "$T/repo/$pack"
	[ $side = with ] || rm "$T/repo/parity/${pack#packs/}"
	v scrub --repair
	exits 4 "the pack is gone, $side its sidecar"
	is "it is a failure to repair" grep -q "^$pack: cannot be repaired: " "$T/out"
	is "the file is named" grep -qx "  needed by: $T/src/large" "$T/out"
	isnt "nothing is in its place" test -e "$T/repo/$pack"
done
v restore latest:"$T/src" --target "$T/back"
exits 4 "a restore of the rest"
is "brings it" cmp "$T/src/f2" "$T/back/f2"
snap "$T/src"
v scrub --repair
exits 4 "healed by a snapshot the pack is missed until a prune"
is "but nothing is lost" grep -qx "nothing that a snapshot needs is lost" "$T/out"
must prune
must scrub
must verify --read

must init -r "$T/plain" --key-file "$VARVE_KEY_FILE"
snap -r "$T/plain" "$T/src"
equal "without --parity data packs have none" "$(cd "$T/plain/parity" && find ?? -type f | wc -l)" 1
must init -r "$T/other" --key-file "$VARVE_KEY_FILE" --parity-layout 2/16/128K
snap -r "$T/other" "$T/src"
is "another shape" test -e "$T/other/parity/data-2-16-131072"
run "$PYTHON" "$TOP/tools/reader.py" "$T/other" --key-file "$T/key" check --scrub
exits 0 "of which the second reader makes the same"
must init -r "$T/sizes" --key-file "$VARVE_KEY_FILE" --parity --chunk-size 16K:64K:512K
is "with sizes of its own" test -e "$T/sizes/parity/data-4-128-65536"
for bad in 0/16 33/16 4/129 4/128/100K 4 4/128/64K/1 4/128/2M x; do
	v init -r "$T/never" --key-file "$VARVE_KEY_FILE" --parity-layout "$bad"
	exits 2 "--parity-layout $bad"
done
finish
