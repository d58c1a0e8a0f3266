"""mend.py VARVE REPO SEED: damage every object of a repository in every way, one at a time: scrub says so, --repair brings back
the very bytes and keeps the damaged object."""
import os
import random
import shutil
import subprocess
import sys

varve, repo, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = random.Random(seed)
count = failed = 0


def tree():
    """{path: bytes} of all objects and sidecars."""
    found = {}
    for top, dirs, names in os.walk(repo):
        rel = os.path.relpath(top, repo)
        if rel.split("/")[0] in ("tmp", "damaged"):
            continue
        for name in names:
            path = os.path.normpath(os.path.join(rel, name))
            if path not in ("locks", "reserve") and not path.startswith("parity/data-"):
                with open(os.path.join(repo, path), "rb") as f:
                    found[path] = f.read()
    return found


def scrub(*options):
    r = subprocess.run([varve, "scrub", "-r", repo, *options], capture_output=True, text=True)
    return r.returncode, r.stdout + r.stderr


def verdict(name, good, detail):
    global count, failed
    count += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    if not good:
        print("# " + detail.replace("\n", "\n# "))


def set_aside():
    names = os.listdir(os.path.join(repo, "damaged"))
    for name in names:
        os.unlink(os.path.join(repo, "damaged", name))
    return names


def attempt(name, path, data, good, kept):
    """Put data (None: nothing) at path; found, repaired, identical."""
    full = os.path.join(repo, path)
    if data is None:
        os.unlink(full)
    else:
        with open(full, "wb") as f:
            f.write(data)
    found, said = scrub()
    if path.startswith("parity/") and data in (None, b""):
        found = 4               # none, or one that never reached the disk, is no damage of the repository
    before = found, said
    repaired, said = scrub("--repair")
    again, _ = scrub()
    after = tree()
    aside = set_aside()
    bad = []
    name += " of %d to %s bytes" % (len(good[path]), data and len(data))
    if before[0] != 4:
        bad.append("%s: scrub: exit %d: %s" % (name, *before))
    if repaired != 0 or again != 0:
        bad.append("repair: exit %d, then %d: %s" % (repaired, again, said))
    lost = sorted(p for p in good if after.get(p) != good[p])
    if path.startswith("parity/") and data in (None, b""):
        lost = [p for p in lost if p != path]
    if lost or set(after) - set(good):
        bad.append("differs: %s %s" % (lost, sorted(set(after) - set(good))))
    if bool(aside) != (kept and data is not None):
        bad.append("damaged/ has %s" % aside)
    for p in good:
        if after.get(p) != good[p]:
            with open(os.path.join(repo, p), "wb") as f:
                f.write(good[p])
    return bad


def main():
    good = tree()
    for path in sorted(good):
        data, bad = good[path], []
        side = path.startswith("parity/")
        for _ in range(2):
            at = rng.randrange(len(data))
            flipped = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]
            bad += attempt("flip", path, flipped, good, not side)
        bad += attempt("empty", path, b"", good, not side)
        # Of a sealed object neither it nor a sidecar without its header or end is proven without the key.
        if not path.startswith(("parity/keys/", "parity/index/", "parity/snapshots/")):
            bad += attempt("truncate", path, data[:rng.randrange(1, len(data))], good, not side)
            bad += attempt("longer", path, data + b"x", good, not side)
            bad += attempt("other", path, rng.choice([d for p, d in good.items() if p != path and d != data]), good, not side)
        if len(data) <= 262144 or side:
            bad += attempt("remove", path, None, good, not side)
        kind = os.path.dirname(path).split("/")
        verdict("%s mends" % "/".join(kind[:2] + [os.path.basename(path)[:8]]), not bad, "\n".join(bad))
    print("1..%d" % count)
    return failed


sys.exit(1 if main() else 0)
