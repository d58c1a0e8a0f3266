#!/usr/bin/python3
"""plot.py LOG PNG: growth and time per hour of the database workload, as gnuplot draws them.

LOG is what bench/database.py says on standard error: lines like `hour 3: varve 0.512 s 1976 KiB, restic 4.021 s 52342 KiB, limit 1562 KiB`.
"""
import re
import subprocess
import sys

HOUR = re.compile(r"^hour (\d+): (.*)$")
CELL = re.compile(r"^(\w+)(?: ([\d.]+) s)? (\d+) KiB$")


def read(path):
    """{tool: [(hour, seconds or None, KiB)]}, the first snapshot apart."""
    tools = {}
    with open(path) as f:
        for line in f:
            hour = HOUR.match(line.strip())
            for cell in hour[2].split(", ") if hour and int(hour[1]) else []:
                m = CELL.match(cell)
                if not m:
                    sys.exit("plot.py: cannot read '%s'" % cell)
                tools.setdefault(m[1], []).append((int(hour[1]), m[2], m[3]))
    return tools


def panel(tools, title, unit, column):
    shown = {t: rows for t, rows in tools.items() if rows[0][column] is not None}
    text = ["set title '%s'" % title, "set ylabel '%s'" % unit]
    for t, rows in shown.items():
        text += ["$%s%d << EOD" % (t, column)] + ["%d %s" % (r[0], r[column]) for r in rows] + ["EOD"]
    return text + ["plot " + ", ".join("$%s%d using 1:2 with linespoints title '%s'" % (t, column, t) for t in shown)]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tools = read(sys.argv[1])
    if not tools:
        sys.exit("plot.py: no hours in '%s'" % sys.argv[1])
    script = ["set terminal png size 1000,900", "set output '%s'" % sys.argv[2], "set multiplot layout 2,1", "set logscale y", "set grid",
        "set xlabel 'hour'", "set key outside"]
    script += panel(tools, "growth of the repository per hour", "KiB", 2) + panel(tools, "time of a snapshot", "s", 1)
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)


main()
