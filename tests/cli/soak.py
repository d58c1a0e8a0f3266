"""soak.py VARVE WORK SECONDS [SEED]: writers, pruners, a restorer and a verifier on one repository, killed and stopped.

Four writers snapshot trees that partly share content, two pruners forget, undelete and prune, a restorer reads whatever is there, a verifier proves it.
Every process may get kill -9 at any moment, or be stopped for a while with the lock in its hands.  At the end: what was reported
and not forgotten is listed and restores to what it was, and the caller lets the second reader check all counts.
"""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

varve, work, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
end = time.monotonic() + seconds
guard = threading.Lock()
state = {}                      # sid -> "here", "gone", "maybe" (a forget or undelete was killed)
content = {}                    # sid -> (path, digest)
problems, done = [], {}


def digest(root):
    h = hashlib.sha256()
    for at, dirs, names in sorted(os.walk(root)):
        for n in sorted(names):
            with open(os.path.join(at, n), "rb") as f:
                h.update(os.path.relpath(os.path.join(at, n), root).encode() + b"\0" + f.read() + b"\0")
    return h.hexdigest()


def note(what):
    with guard:
        done[what] = done.get(what, 0) + 1


def bad(what):
    with guard:
        problems.append(what)


def run(rng, args, rough=True):
    """(status, stdout, stderr); status is None when it was killed."""
    p = subprocess.Popen([varve] + args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    what = rng.random() if rough else 1
    killed = False

    def meddle():
        nonlocal killed
        time.sleep(rng.random() ** 2 * 0.06)
        if what < 0.25:
            killed = True
            p.kill()
        elif p.poll() is None:
            p.send_signal(signal.SIGSTOP)
            time.sleep(rng.random() * 0.4)
            p.send_signal(signal.SIGCONT)
    meddler = threading.Thread(target=meddle) if what < 0.4 else None
    if meddler:
        meddler.start()
    try:
        out, err = p.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        bad("a process hangs: %s" % " ".join(args))
    if meddler:
        meddler.join()
    note(args[0] + (" killed" if killed and p.returncode < 0 else ""))
    return None if killed and p.returncode < 0 else p.returncode, out.decode(), err.decode()


def writer(n):
    rng = random.Random("%d writer %d" % (seed, n))
    src = "%s/src%d" % (work, n)
    os.makedirs(src + "/sub")
    while time.monotonic() < end:
        for _ in range(rng.randrange(1, 6)):
            name = "%s/%s/f%d" % (src, rng.choice([".", "sub"]), rng.randrange(12))
            if rng.random() < 0.2 and os.path.exists(name):
                os.unlink(name)
                continue
            # Few seeds: writers often store the same content at once, and old content comes back.
            block = hashlib.shake_128(b"%d" % rng.randrange(60)).digest(rng.choice([200, 5000, 60000]))
            with open(name, "wb") as f:
                f.write(block + b"%d" % rng.randrange(3))
        was = digest(src)
        status, out, err = run(rng, ["snapshot", "--json", "--host", "w%d" % n, src])
        last = out.strip().split("\n")[-1]
        if '"summary"' in last and last.endswith("}"):
            with guard:
                sid = json.loads(last)["snapshot"]
                content[sid] = src, was
                state.setdefault(sid, "here")
        elif status is not None:
            bad("snapshot: status %s: %s" % (status, err))


def pruner(n):
    rng = random.Random("%d pruner %d" % (seed, n))
    while time.monotonic() < end:
        what = rng.random()
        with guard:
            here = [s for s in state if state[s] == "here"]
            gone = [s for s in state if state[s] == "gone"]
        if what < 0.45 and len(here) > 4:
            sid, args, result = rng.choice(here), "forget", "gone"
        elif what < 0.55 and gone:
            sid, args, result = rng.choice(gone), "undelete", "here"
        else:
            status, _, err = run(rng, ["prune", "--max-unused", str(rng.choice([0, 0, 5, 30]))])
            if status not in (None, 0):
                bad("prune: status %s: %s" % (status, err))
            continue
        with guard:
            if state[sid] == "maybe":
                continue
            state[sid] = "maybe"
        status, _, err = run(rng, [args, sid])
        if status == 0:
            with guard:
                state[sid] = result
        elif status == 1 and ("was pruned" in err or "no snapshot" in err or "not among" in err):
            with guard:
                state[sid] = "gone"
        elif status is not None:
            bad("%s: status %s: %s" % (args, status, err))


def restore(rng, sid, where, rough):
    target = "%s/%s-%s" % (work, where, sid[:8])
    src, was = content[sid]
    status, _, err = run(rng, ["restore", sid + ":" + src, "--target", target], rough)
    if status == 0 and digest(target) != was:
        bad("snapshot %s restores to something else" % sid)
    shutil.rmtree(target, ignore_errors=True)
    return status, err


def restorer(n):
    rng = random.Random("%d restorer %d" % (seed, n))
    while time.monotonic() < end:
        with guard:
            known = [s for s in content if state[s] == "here"]
        if not known:
            time.sleep(0.05)
            continue
        sid = rng.choice(known)
        status, err = restore(rng, sid, "r%d" % n, True)
        if status in (0, None):
            continue
        with guard:
            forgotten = state[sid] != "here"
        if status != 1 or not forgotten:
            bad("restore %s: status %s: %s" % (sid, status, err))


def verifier(n):
    rng = random.Random("%d verifier %d" % (seed, n))
    while time.monotonic() < end:
        status, out, err = run(rng, ["verify"] + ["--read"] * rng.randrange(2))
        if status not in (0, None):
            bad("verify: status %s: %s%s" % (status, out, err))


def finish():
    rng = random.Random(seed)
    status, _, err = run(rng, ["prune"], False)
    if status != 0:
        bad("the last prune: status %s: %s" % (status, err))
    status, out, err = run(rng, ["verify", "--read"], False)
    if status != 0:
        bad("the last verify: status %s: %s%s" % (status, out, err))
    status, out, err = run(rng, ["list", "--json"], False)
    listed = {s["id"] for s in json.loads(out)} if status == 0 else set()
    kept = [s for s in content if state[s] == "here"]
    for sid in kept:
        if sid not in listed:
            bad("snapshot %s was reported, not forgotten, and is not there" % sid)
        elif restore(rng, sid, "last", False)[0] != 0:
            bad("snapshot %s does not restore" % sid)
    for sid in listed & {s for s in state if state[s] == "gone"}:
        bad("snapshot %s was forgotten and is there" % sid)
    print("# seed %d: %s; %d snapshots kept" % (seed, ", ".join("%d %s" % (done[k], k) for k in sorted(done)), len(kept)))


threads = [threading.Thread(target=f, args=(n,)) for f, count in ((writer, 4), (pruner, 2), (restorer, 1), (verifier, 1)) for n in range(count)]
for t in threads:
    t.start()
for t in threads:
    t.join()
finish()
for p in problems[:20]:
    print("problem: " + p.strip())
sys.exit(1 if problems else 0)
