#!/usr/bin/python3
"""Run test programs in parallel and add up what they say.

    run.py [-j N] [-t SECONDS] [-v] PROGRAM...

A program prints TAP (`ok 1 - name`, `not ok 2 - name`, `ok 3 - name # SKIP why`, `1..3`); one that prints none counts as one test, by its
exit status.  `fuzz:PROGRAM` is run over the files of its corpus.  Each runs in a TMPDIR of its own, which is removed afterwards, with
nothing on standard input.  UNDER is a command that other programs than scripts are run by.  Only the output of failed programs is shown.  The last line is `N passed, N failed, N skipped`.
"""
import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

LINE = re.compile(rb"^\s*(not )?ok\b[ \t]*([^\n]*)$", re.M)
PLAN = re.compile(rb"^\s*1\.\.(\d+)", re.M)


running = {}                            # process: its TMPDIR


class Result:
    def __init__(self, name):
        self.name, self.passed, self.failed, self.skipped = name, 0, 0, 0
        self.seconds, self.output, self.notes = 0.0, b"", []


def command(program):
    """argv of a program, and the name to show."""
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if program.startswith("fuzz:"):
        program = program[5:]
        name = os.path.basename(program)
        corpus = [os.path.join(top, "fuzz", "corpus", name), os.path.join(top, "tests", "vectors")]
        return [os.path.abspath(program)] + [d for d in corpus if os.path.isdir(d)], "fuzz/" + name
    shown = os.path.relpath(program, os.environ.get("BUILD", top))
    if shown.startswith(".."):
        shown = os.path.relpath(program, top)
    path = os.path.abspath(program)
    if program.endswith(".py"):
        return [os.environ.get("PYTHON", sys.executable), path], shown
    if program.endswith(".sh"):
        return ["/bin/bash", path], shown
    return os.environ.get("UNDER", "").split() + [path], shown


def count(result, out, status):
    for m in LINE.finditer(out):
        if re.search(rb"#\s*SKIP", m.group(2), re.I):
            result.skipped += 1
        elif m.group(1):
            result.failed += 1
        else:
            result.passed += 1
    seen = result.passed + result.failed + result.skipped
    planned = sum(int(m.group(1)) for m in PLAN.finditer(out))
    if planned > seen:
        result.failed += 1
        result.notes.append("stopped after %d of %d tests" % (seen, planned))
    if status != 0 and not result.failed:
        result.failed += 1
        result.notes.append("exit status %d" % status if status > 0 else "killed by signal %d" % -status)
    elif status == 0 and seen == 0 and planned == 0:
        result.passed += 1


def run(program, timeout):
    argv, name = command(program)
    result = Result(name)
    tmp = tempfile.mkdtemp(prefix="varve-test-")
    env = {k: v for k, v in os.environ.items() if not k.startswith("VARVE_")}
    env.update(TMPDIR=tmp, HOME=tmp, LC_ALL="C.UTF-8", TZ="UTC", CMOCKA_MESSAGE_OUTPUT="TAP", PYTHONDONTWRITEBYTECODE="1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    begin = time.monotonic()
    try:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, cwd=tmp,
            start_new_session=True)
        running[p] = tmp
        try:
            result.output, _ = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            result.output, _ = p.communicate()
            result.notes.append("no end after %d s" % timeout)
        running.pop(p, None)
        count(result, result.output, p.returncode)
    except OSError as e:
        result.failed += 1
        result.notes.append(str(e))
    for tidy in (["rm", "-rf", "--", tmp], ["chmod", "-Rf", "u+rwX", tmp], ["rm", "-rf", "--", tmp]):
        if os.path.lexists(tmp):
            subprocess.run(tidy, stderr=subprocess.DEVNULL)
    result.seconds = time.monotonic() - begin
    return result


def show(result, verbose):
    word = "FAIL" if result.failed else "ok"
    extra = ", %d skipped" % result.skipped if result.skipped else ""
    print("%-4s %-40s %4d passed, %d failed%s  %.1f s" % (word, result.name, result.passed, result.failed, extra, result.seconds))
    text = result.output.decode("utf-8", "backslashreplace")
    if result.failed or verbose:
        for line in text.splitlines():
            print("     | " + line)
        for note in result.notes:
            print("     | " + note)
    else:
        for line in text.splitlines():
            if re.match(r"\s*warning:|.*#\s*SKIP", line):
                print("     | " + line)
    sys.stdout.flush()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("-j", type=int, default=(os.cpu_count() or 1) + 1, help="programs at once")
    ap.add_argument("-t", type=int, default=int(os.environ.get("TEST_TIMEOUT", "420")), help="seconds for one program")
    ap.add_argument("-v", action="store_true", help="show all output")
    ap.add_argument("program", nargs="*")
    a = ap.parse_args()
    passed = failed = skipped = 0
    bad = []
    with concurrent.futures.ThreadPoolExecutor(a.j) as pool:
        for f in concurrent.futures.as_completed([pool.submit(run, p, a.t) for p in a.program]):
            r = f.result()
            show(r, a.v)
            passed, failed, skipped = passed + r.passed, failed + r.failed, skipped + r.skipped
            if r.failed:
                bad.append(r.name)
    if bad:
        print("failed: " + " ".join(sorted(bad)))
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    sys.exit(1 if failed or passed == 0 else 0)


def stop(*_):
    """The programs have process groups of their own, which the terminal's interrupt does not reach."""
    left = dict(running)
    for p in left:
        os.killpg(p.pid, signal.SIGTERM)
    time.sleep(0.5)
    subprocess.run(["rm", "-rf", "--", *left.values()])
    os._exit(130)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    main()
