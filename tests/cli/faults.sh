#!/bin/bash
# A slice of tests/fault/faults.py: kills at random system calls, calls and allocations that fail (PB-2, PB-8, GN-5, GN-6, GN-7).
set -eu
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
status=0
whats="kill calls memory"
case ${BUILD:-} in
*san) whats="kill calls" ;;      # sanitizers have allocators of their own
esac
for what in $whats; do
	"${PYTHON:-/usr/bin/python3}" "$HERE/../fault/faults.py" "$what" --cases "${FAULT_CASES:-80}" --seed "${FAULT_SEED:-1}" || status=$?
done
exit "$status"
