#!/bin/bash
# What a process gives up: the database helper its system calls, restore and snapshot the places they may write to; and where no
# secret may be.
. "$(dirname "$0")/lib.sh"

init_repo
mkdir "$T/src" "$T/elsewhere"
for i in $(seq 40); do noise "$T/src/f$i" 30000 "confine $i"; done
"$PYTHON" - "$T/src/app.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("pragma journal_mode=wal")
db.execute("create table t (a, b)")
db.executemany("insert into t values (?, ?)", ((i, "x" * 3000) for i in range(20000)))
db.commit()
PY

# Stop the command while it has a helper, and look at both.
look() {
	"$PYTHON" - "$@" <<'PY'
import os, signal, subprocess, sys, time
def status(pid):
    with open("/proc/%d/status" % pid) as f:
        return dict(l.rstrip("\n").split(":\t", 1) for l in f if ":\t" in l)
def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(x) for x in f.read().split()]
    except OSError:
        return []
for attempt in range(20):
    p = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    found = None
    while not found and p.poll() is None and time.monotonic() < end:
        for c in children(p.pid):
            try:
                s = status(c)
                if s["Name"] == "varve-sqlite" and s.get("Seccomp") == "2":
                    os.kill(c, signal.SIGSTOP)
                    found = c, status(c), open("/proc/%d/limits" % c).read(), open("/proc/%d/environ" % c, "rb").read()
            except OSError:
                pass
    if found:
        c, s, limits, environ = found
        core = [l.split()[-3:-1] for l in limits.splitlines() if l.startswith("Max core")][0]
        memory = [l for l in limits.splitlines() if l.startswith("Max address")][0]
        print("seccomp=%s newprivs=%s core=%s bounded=%d varve=%d" % (s["Seccomp"], s["NoNewPrivs"], core[0],
            "unlimited" not in memory, environ.count(b"VARVE_")))
        os.kill(c, signal.SIGCONT)
    p.wait()
    if found or p.returncode:
        break
print("exit", p.returncode)
PY
}
if grep -q '^Seccomp:' /proc/self/status && [ -e "/proc/$$/task/$$/children" ]; then
	look "$VARVE" snapshot "$T/src" >"$T/looked" 2>&1
	case $VARVE in
	*asan*|*tsan*) bounded=0 ;;
	*) bounded=1 ;;
	esac
	equal "the helper is confined" "$(cat "$T/looked")" "$(printf 'seccomp=2 newprivs=1 core=0 bounded=%s varve=0\nexit 0' $bounded)"
else
	skip "the helper is confined" "no seccomp"
fi
snap "$T/src"
v restore "latest:$T/src" --target "$T/back"
exits 0 "restore with confinement"
is "the database is whole" test "$("$PYTHON" -c 'import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute("pragma integrity_check").fetchone()[0])' "$T/back/app.db")" = ok
VARVE_CONFINE=no v restore "latest:$T/src" --target "$T/back"
exits 0 "and without"
v restore "latest:$T/src" --target "$T/a/b/c" --delete
exits 0 "into directories that are not there yet"
(cd "$T/elsewhere" && "$VARVE" restore "latest:$T/src" --target . >/dev/null 2>&1)
is "into the working directory" cmp "$T/elsewhere/f1" "$T/src/f1"
v snapshot --command "sh -c 'echo made >$T/elsewhere/made; echo content'"
exits 0 "the user's own command"
is "writes where it likes" test -e "$T/elsewhere/made"

# The secret: nowhere in the memory that may be swapped, dumped or read, nor in what others can see of the process.
if is_root && [[ ${BUILD:-} != *san ]]; then
	printf '%s' 'a passphrase that nobody guesses 4711' >"$T/pass"
	VARVE_REPOSITORY=$T/second
	export VARVE_REPOSITORY
	unset VARVE_KEY_FILE
	must init --password-file "$T/pass" --kdf-memory 8M --kdf-passes 1
	mkfifo "$T/fifo"
	VARVE_PASSWORD=$(cat "$T/pass") "$VARVE" snapshot --stdin <"$T/fifo" >/dev/null 2>&1 &
	pid=$!
	exec 9>"$T/fifo"
	echo begun >&9
	"$PYTHON" - "$pid" "$T/pass" "$T/tmp" >"$T/found" 2>&1 <<'PY'
import re, sys, time
pid, secret = sys.argv[1], open(sys.argv[2], "rb").read()
end = time.monotonic() + 60
def maps():
    for line in open("/proc/%s/smaps" % pid):
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
        if m:
            here = int(m[1], 16), int(m[2], 16), m[3], m[4]
        elif line.startswith("VmFlags:"):
            yield (*here, line.split()[1:])
def locked():
    return int(re.search(r"VmLck:\s+(\d+)", open("/proc/%s/status" % pid).read())[1])
while time.monotonic() < end and "pipe_read" not in open("/proc/%s/wchan" % pid).read() and locked() == 0:
    time.sleep(0.05)
time.sleep(1)
seen = 0
with open("/proc/%s/mem" % pid, "rb") as mem:
    for begin, stop, mode, name, flags in maps():
        if "r" not in mode or name in ("[vvar]", "[vsyscall]") or "lo" in flags:
            continue
        try:
            mem.seek(begin)
            seen += mem.read(stop - begin).count(secret)
        except OSError:
            pass
for what in ("cmdline", "environ"):
    seen += open("/proc/%s/%s" % (pid, what), "rb").read().count(secret)
core = [l.split()[-3] for l in open("/proc/%s/limits" % pid) if l.startswith("Max core")][0]
print("%d copies, core %s, locked memory %s" % (seen, core, "yes" if locked() else "no"))
PY
	exec 9>&-
	wait "$pid" || true
	equal "no passphrase in memory that is not locked, arguments or environment" "$(cat "$T/found")" \
		"0 copies, core 0, locked memory yes"
	equal "nor in a file" "$(grep -rlF 'nobody guesses 4711' "$T" --exclude=pass | wc -l)" 0
else
	skip "no passphrase in memory" "needs root, and memory without shadows"
	skip "nor in a file" "needs root, and memory without shadows"
fi
finish
