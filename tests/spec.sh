#!/bin/bash
# SPEC.md is tested: its byte examples and the vectors of tests/vectors are read by the program's decoders and by the second reader, and
# both come to the class that each vector names.  The vectors are those that tools/mkvectors makes: a changed one is a changed format.
set -u
TOP=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${BUILD:-$TOP/build/gcc/release}
PYTHON=${PYTHON:-/usr/bin/python3}
T=$(mktemp -d "${TMPDIR:-/tmp}/varve-spec-XXXXXX")
trap 'rm -rf -- "$T"' EXIT
count=0 bad=0
step() { # NAME COMMAND...: one test; its output is shown when it fails.
	local name=$1
	shift
	count=$((count + 1))
	if "$@" >"$T/out" 2>&1; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		grep -v '^ok' "$T/out" | head -n 40 | sed 's/^ *\(not \)\?ok/&:/; s/^/# /'
		bad=1
	fi
}

mkdir "$T/spec" "$T/made"
awk -v dir="$T/spec" '/^```vector /{f = dir "/" $2 ".vec"; next} /^```/{f = ""; next} f{print > f}' "$TOP/SPEC.md"
examples=$(find "$T/spec" -name '*.vec' | wc -l)
vectors=$(find "$TOP/tests/vectors" -name '*.vec' | wc -l)
echo "# $examples examples in SPEC.md, $vectors vectors"
step "SPEC.md has byte examples" [ "$examples" -ge 1 ]
step "there are vectors" [ "$vectors" -ge 100 ]
step "examples, the program's decoders" "$BUILD/tests/unit/test_vectors" "$T/spec"
step "examples, the second reader" "$PYTHON" "$TOP/tools/reader.py" vectors "$T/spec"
step "vectors, the program's decoders" "$BUILD/tests/unit/test_vectors" "$TOP/tests/vectors"
step "vectors, the second reader" "$PYTHON" "$TOP/tools/reader.py" vectors "$TOP/tests/vectors"
step "mkvectors runs" "$BUILD/tools/mkvectors" "$T/made"
step "mkvectors makes the vectors that are there" diff -r -x README.md "$T/made" "$TOP/tests/vectors"
echo "1..$count"
exit $bad
