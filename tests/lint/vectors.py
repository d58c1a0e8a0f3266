"""The vectors on disk are what tools/mkvectors makes; those in SPEC.md are among them; both readers give each its class."""
import filecmp
import os
import subprocess
import sys
import tempfile

from lintlib import BUILD, TOP, done, verdict

VECTORS = os.path.join(TOP, "tests", "vectors")


def vecs(folder):
    return {n for n in os.listdir(folder) if n.endswith(".vec")}


def differences(made, kept, all_of_them):
    for name in sorted(vecs(made) - vecs(kept)):
        yield name + " is not in " + os.path.relpath(kept, TOP)
    for name in sorted(vecs(kept) - vecs(made) if all_of_them else ()):
        yield name + " is not made by tools/mkvectors"
    for name in sorted(vecs(made) & vecs(kept)):
        if not filecmp.cmp(os.path.join(made, name), os.path.join(kept, name), shallow=False):
            yield name + " differs"


def complaints(*argv):
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=TOP)
    lines = p.stdout.decode("utf-8", "replace").splitlines()
    return [] if p.returncode == 0 else [line for line in lines if not line.startswith("ok")] or ["exit %d" % p.returncode]


with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as spec:
    verdict("tools/mkvectors runs", complaints(os.path.join(BUILD, "tools", "mkvectors"), made))
    verdict("tests/vectors is what it makes", differences(made, VECTORS, True))
    subprocess.run(["awk", "-v", "dir=" + spec, "-f", os.path.join(TOP, "tests", "lint", "spec_vectors.awk"),
                    os.path.join(TOP, "SPEC.md")], check=True)
    verdict("SPEC.md has examples", [] if len(vecs(spec)) >= 8 else ["%d blocks" % len(vecs(spec))])
    verdict("the examples of SPEC.md are vectors", differences(spec, VECTORS, False))
    verdict("the program reads SPEC.md's examples", complaints(os.path.join(BUILD, "tests", "unit", "test_vectors"), spec))
    reader = [sys.executable, os.path.join(TOP, "tools", "reader.py"), "vectors"]
    verdict("the second reader reads SPEC.md's examples", complaints(*reader, spec))
    verdict("the second reader gives every vector its class", complaints(*reader, VECTORS))
done()
