#!/bin/bash
# The second reader, written from SPEC.md alone, restores the same tree and finds nothing wrong: ids, nodes, index, counts (FR-5, CH-1,
# LN-2, TN-3, IX-3, IX-7, SR-1).
. "$(dirname "$0")/lib.sh"

NASTY_ENTRIES=3000 "$HERE/mknasty.sh" "$T/src" >"$T/out" 2>"$T/err"
rm -rf "$T/src/sparse/ten"
reader() { run "$PYTHON" "$TOP/tools/reader.py" "$@"; }
init_repo
snap "$T/src"
noise "$T/src/more" 2500000 reader
snap "$T/src"
must restore "latest:$T/src" --target "$T/one" $(is_root && echo --devices)
reader "$T/repo" --key-file "$T/key" list
exits 0 "reader lists"
equal "two snapshots" "$(wc -l <"$T/out")" 2
reader "$T/repo" --key-file "$T/key" restore latest "$T/two" "$T/src"
exits 0 "reader restores"
is "the same tree" "$PYTHON" "$HERE/same.py" "$T/one" "$T/two$T/src"
reader "$T/repo" --key-file "$T/key" check --scrub
exits 0 "reader checks"
reader "$T/repo" --key-file "$T/key2" list
isnt "not without the key" [ "$status" = 0 ]
head -c 32 /dev/urandom >"$T/wrong"
reader "$T/repo" --key-file "$T/wrong" list
exits 12 "a wrong key"

# A passphrase, and a public repository.
printf 'pass\n' >"$T/pw"
must key add --new-password-file "$T/pw" --kdf-memory 8M
reader "$T/repo" --password-file "$T/pw" list
exits 0 "reader opens a passphrase slot"
must init -r "$T/public" --insecure-no-encryption
run env -u VARVE_KEY_FILE "$VARVE" snapshot -r "$T/public" --insecure-no-encryption "$T/src/plain"
reader "$T/public" --insecure-no-encryption check
exits 0 "reader checks a public repository"
finish
