#!/bin/bash
# Some of over a hundred repositories made to harm whoever reads them, and directories swapped for links meanwhile (GN-2, GN-4, FR-3, FR-4, TN-6).
exec "${PYTHON:-/usr/bin/python3}" "$(dirname "$0")/../hostile/hostile.py" --sample 40 --rounds "${RACE_ROUNDS:-3000}"
