"""dbheld.py --kill TIMES DIR: a snapshot of DIR whose helper is killed, up to TIMES times.  Says how often, and how it ended."""
import os
import signal
import subprocess
import sys
import time

VARVE = os.environ["VARVE"]
HELPER = b"sqlite-capture-helper"


def helper_of(parent):
    """The pid of its helper, or None."""
    try:
        with open("/proc/%d/task/%d/children" % (parent, parent)) as f:
            children = f.read().split()
        for pid in children:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if HELPER in f.read():
                    return int(pid)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def kill(times, directory):
    p = subprocess.Popen([VARVE, "snapshot", directory])
    killed = set()
    while p.poll() is None:
        helper = helper_of(p.pid)
        if helper and helper not in killed and len(killed) < times:
            os.kill(helper, signal.SIGKILL)
            killed.add(helper)
        time.sleep(0.002)
    os.write(1, b"killed %d\nexit %d\n" % (len(killed), p.returncode))
    return None if killed else "no helper was seen"


sys.exit(kill(int(sys.argv[2]), sys.argv[3]))
