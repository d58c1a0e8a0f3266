#!/bin/sh
# all.sh NAME...: `make bench-NAME` for each, one after the other, into build/bench.md; and a picture of the database's hours.  An hour or two.
set -eu
mkdir -p build
: >build/bench.md
for b in "$@"; do
	echo "bench-$b"
	make --no-print-directory -s "bench-$b" >"build/bench-$b.md" 2>"build/bench-$b.log" || {
		tail -n 5 "build/bench-$b.log" >&2
		exit 1
	}
	cat "build/bench-$b.md" >>build/bench.md
	echo >>build/bench.md
done
[ ! -s build/bench-database.log ] || ${PYTHON:-/usr/bin/python3} bench/plot.py build/bench-database.log build/bench-database.png
echo "the tables are in build/bench.md"
