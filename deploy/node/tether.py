"""Runs a command that ends when the process that asked for it ends, even by `kill -9`.

    python -I -S tether.py PARENT_PID COMMAND [ARGUMENT…]

On Linux the kernel sends SIGTERM when the parent's thread is gone, and the command takes this process's place.
Elsewhere this process stays and looks every half second. SIGTERM, not SIGKILL: the servers close their files, and
hold a lock of the home (inherited) until they have. Standard library only: it is run as a file, in about 20 ms.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> int:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it ended before the call above
            return 1
        os.execv(command[0], command)  # noqa: S606 (no shell is wanted)
    return watch(parent, command)


def watch(parent: int, command: list[str]) -> int:
    with subprocess.Popen(command, close_fds=False) as child:  # noqa: S603 (the launcher's own command)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: child.send_signal(received))
        while True:
            try:
                return child.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                if os.getppid() != parent:
                    child.terminate()


if __name__ == "__main__":
    sys.exit(main())
