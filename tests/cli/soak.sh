#!/bin/bash
# Writers, pruners, a restorer and a verifier at once, killed and stopped anywhere: nothing is lost, no lock is stale, counts stay exact
# (PB-1 to PB-10).  `make soak` does it for an hour.
. "$(dirname "$0")/lib.sh"

init_repo
mkdir "$T/work"
run "$PYTHON" "$HERE/soak.py" "$VARVE" "$T/work" "${SOAK_SECONDS:-8}" ${SOAK_SEED:+"$SOAK_SEED"}
exits 0 "soak"
grep '^#' "$T/out" || true
run "$PYTHON" "$TOP/tools/reader.py" "$T/repo" --key-file "$T/key" check --scrub
exits 0 "counts are exact, all content is there"
equal "tmp/ is empty" "$(find "$T/repo/tmp" -type f | wc -l)" 0
equal "nothing forgotten is left" "$(find "$T/repo/forgotten" -type f | wc -l)" 0
finish
