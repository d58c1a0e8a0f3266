#!/bin/bash
# Databases captured while they are written to are states that were committed.  A slice of `make check-ledger`.
exec "${PYTHON:-/usr/bin/python3}" "$(dirname "$0")/ledger.py" --captures 45 --lockstep 15
