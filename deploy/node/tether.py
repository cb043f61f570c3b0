"""Runs a command that ends when the process that asked for it ends, even by `kill -9`.

    python -I -S tether.py PARENT_PID COMMAND [ARGUMENT…]

On Linux the kernel kills the command when the thread that started it is gone, and the command takes this process's
place. Elsewhere this process stays and looks every half second. SIGKILL, not SIGTERM: a parent of many threads dies
thread by thread and the kernel signals at each, and SecantusDB, asked twice to stop while it is stopping, waits for
itself for ever. What the servers acknowledged is on disk either way. Standard library only: it is run as a file.
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
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
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
                    child.kill()


if __name__ == "__main__":
    sys.exit(main())
