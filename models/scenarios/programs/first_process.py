"""The first process of a node: puts the node's own files over /proc, then answers with the node's last PID, for ever.

Run as a program, by its path, as the first process of a PID namespace, with a mount namespace of its own:
`first_process.py ROOT SOCKET LXCFS PROC_FILES`. In ROOT, the node's root folder, it mounts proc, sys and dev, over
them what lxcfs and `proc_files` show for this node, makes ROOT the root, and listens on SOCKET. A PID namespace
numbers its processes and threads one after the other, so the last number counts its forks. It ends when it is killed,
and every process of the node with it.
"""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

OF_LXCFS = ("meminfo", "loadavg")
OF_PROC_FILES = {"stat": "stat", "vmstat": "vmstat", "diskstats": "diskstats", "file-nr": "sys/fs/file-nr"}


def main() -> None:
    """Set up, then serve."""
    root, address, lxcfs, proc_files = sys.argv[1:]
    mount("-t", "proc", "proc", f"{root}/proc")
    mount("-t", "sysfs", "sysfs", f"{root}/sys")
    mount("--rbind", "/dev", f"{root}/dev")
    for name in OF_LXCFS:
        mount("--bind", f"{lxcfs}/proc/{name}", f"{root}/proc/{name}")
    for name, place in OF_PROC_FILES.items():
        mount("--bind", f"{proc_files}/{name}", f"{root}/proc/{place}")
    with socket.socket(socket.AF_UNIX) as listening:
        # Not before the mounts: `proc_files` does one thing at a time, and would wait for us while we wait for it.
        listening.bind(address)
        listening.listen()
        os.chroot(root)
        os.chdir("/")
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans are ours, and nobody asks how they ended
        while True:
            asking, _ = listening.accept()
            with asking, suppress(OSError):  # it may have given up
                asking.sendall(Path("/proc/sys/kernel/ns_last_pid").read_bytes())


def mount(*arguments: str) -> None:
    """Mount, or end with what mount says."""
    subprocess.run(["mount", *arguments], check=True)  # noqa: S603, S607 - ours, of the machine that is set up


if __name__ == "__main__":
    main()
