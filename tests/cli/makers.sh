#!/bin/bash
# A restore into a new directory: other threads make the files; reports stay in order, a failure costs its file, one processor does as well.
. "$(dirname "$0")/lib.sh"
init_repo
S=$T/src
"$PYTHON" - "$S" <<'PY'
import os, sys
top = sys.argv[1]
for d in range(20):
    at = "%s/%s" % (top, "/".join("d%02d" % i for i in range(d, d - d % 5 - 1, -1)))
    os.makedirs(at, exist_ok=True)
    for f in range(25):
        with open("%s/f%02d" % (at, f), "wb") as out:
            out.write(b"%d %d\n" % (d, f) * (f * f * 3 + (60000 if f == 7 else 0)))
        os.chmod("%s/f%02d" % (at, f), [0o644, 0o755, 0o400, 0o4711, 0o666][f % 5])
        os.utime("%s/f%02d" % (at, f), ns=(1, 10**18 + d * 10**9 + f))
os.symlink("d00", top + "/link")
os.link(top + "/d00/f03", top + "/d05/hard")
with open(top + "/d10/holes", "wb") as out:
    out.truncate(300000)
    out.seek(200000)
    out.write(b"x" * 1000)
for at, dirs, _ in os.walk(top, topdown=False):
    os.utime(at, ns=(1, 10**18 + len(at)))
os.chmod(top + "/d10", 0o555)
PY
is_root && chown -R 12:34 "$S/d15" && chmod 4711 "$S/d15/f03"
snap "$S"

must restore "latest:$S" --target "$T/one" --verbose
grep '^[+m] ' "$T/out" >"$T/order"
is "what comes back is what went in" same_tree "$S" "$T/one"
"$PYTHON" - "$S" >"$T/wanted" <<'PY'
import os, sys
def walk(at, told):
    for name in sorted(os.listdir(at)):
        path = at + "/" + name
        print("+ " + path)
        if os.path.isdir(path) and not os.path.islink(path):
            walk(path, told)
walk(sys.argv[1], "")
PY
is "told in the order of the walk" diff "$T/order" "$T/wanted"
must restore "latest:$S" --target "$T/one" --dry-run
equal "a second restore would change nothing" "$(grep -c '^[-+Mms] ' "$T/out" || true)" 0
must restore "latest:$S" --target "$T/verified" --verify
is "and all can be read back" grep -q "^verified: 502 files" "$T/out"
run taskset -c "$(taskset -pc $$ | sed 's/.*: \([0-9]*\).*/\1/')" "$VARVE" restore "latest:$S" --target "$T/alone" --verbose
exits 0 "with one processor"
is "the same there" same_tree "$S" "$T/alone"
is "in the same order" diff <(grep '^[+m] ' "$T/out") "$T/order"

if [ "$(nproc)" -ge 2 ] && strace -f -o /dev/null true 2>/dev/null; then
	run strace -f -e trace=renameat,mkdirat -o "$T/trace" env ASAN_OPTIONS=detect_leaks=0 "$VARVE" restore "latest:$S" --target "$T/traced"
	exits 0 "under strace"
	walker=$(awk '/mkdirat/ {print $1; exit}' "$T/trace")
	atmost "the walk itself names few files" "$(grep -c "^$walker .*renameat" "$T/trace")" 4
	is "and others name the rest" test "$(grep -v "^$walker " "$T/trace" | grep -c 'renameat(')" -ge 498
else
	skip "other threads name files" "one processor, or no strace"
fi

# Directories wait for their files with a descriptor each: few of them must be enough.
mkdir "$T/many"
for i in $(seq 120); do mkdir "$T/many/d$i" && echo "$i" >"$T/many/d$i/f"; done
snap "$T/many"
run bash -c 'ulimit -n 64; exec "$@"' sh "$VARVE" restore "latest:$T/many" --target "$T/few"
exits 0 "with 64 descriptors"
is "everything is there" diff -r "$T/many" "$T/few"
must forget latest

# Its content by several threads, each with a reader: packs and segments are files, too.
export VARVE_REPOSITORY=$T/hours
must init --key-file "$T/key"
mkdir "$T/large"
noise "$T/large/f" 17000000 many
for i in $(seq 1 30); do
	noise "$T/page" 4096 "hour $i"
	dd if="$T/page" of="$T/large/f" bs=4096 seek=$((i * 130)) conv=notrunc status=none
	must snapshot -q "$T/large"
done
for n in 168 176 236 272 304 340; do
	rm -rf "$T/back"
	run bash -c "ulimit -n $n; exec \"\$@\"" sh "$VARVE" restore "latest:$T/large" --target "$T/back"
	exits 0 "many packs and segments, $n open files"
	is "whole" cmp "$T/large/f" "$T/back/f"
done
export VARVE_REPOSITORY=$T/repo

# What the target refuses: a longest length of files.
run bash -c 'trap "" XFSZ; ulimit -f 200; exec "$@"' sh "$VARVE" restore "latest:$S" --target "$T/short" --verbose
exits 1 "files that are too long for the target"
equal "each is named" "$(grep -c "f07'*: .*File too large" "$T/err")" 20
equal "in order" "$(grep -o "/d.*f07" "$T/err")" "$(grep "f07$" "$T/wanted" | sed "s|+ $S||")"
equal "the others are there" "$(grep -c '^+ .*/f' "$T/out")" 480
equal "nothing else is" "$(find "$T/short" -name '.varve*' -o -name f07 | wc -l)" 0

# A full one ends it.
if is_root && mkdir "$T/mnt" && mount -t tmpfs -o size=1m none "$T/mnt" 2>/dev/null; then
	v restore "latest:$S" --target "$T/mnt/x"
	exits 1 "a full target"
	is "it is said where" grep -q "cannot restore '$S/.*No space left" "$T/err"
	equal "no unfinished file is left" "$(find "$T/mnt" -name '.varve*' | wc -l)" 0
	umount "$T/mnt"
else
	skip "a full target" "cannot mount"
fi
finish
