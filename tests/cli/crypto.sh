#!/bin/bash
# What the encryption promises (SPEC §1, §3, §5, CH-1, CH-4, CH-5): see tests/crypto.
set -eu
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
status=0
VECTORS=$TOP/tests/vectors "${BUILD:-$TOP/build/gcc/release}/tests/crypto/crypto_proof" || status=$?
"${PYTHON:-/usr/bin/python3}" "$TOP/tests/crypto/crypto.py" --files 24 || status=$?
exit "$status"
