"""Kills a process before one of the steps that it takes with files."""

import os
import signal
import sys

_CHANGING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_NAMED = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.chmod"}


def count_steps(folder, last=None, counted=None):
    """Counts this process's steps with files in a folder from here on.

    A step is a file opened to be written, a rename, a removal, a folder made or removed, as Python
    takes them; what a library in C++ writes by itself is none.

    Args:
        folder: whose files.
        last: the step before which the process is killed; None for none.
        counted: descriptor of a file that is told the number.
    """
    prefix, taken = os.fspath(folder), 0

    def hook(event, arguments):
        nonlocal taken
        if event == "open":
            if not (isinstance(arguments[2], int) and arguments[2] & _CHANGING):
                return
        elif event not in _NAMED:
            return
        path = arguments[0]
        # A tree is removed by names within folders that are open.
        within = event in ("os.remove", "os.rmdir") and not os.path.isabs(path)
        if not (within or str(path).startswith(prefix)):
            return
        if taken == last:
            os.kill(os.getpid(), signal.SIGKILL)
        taken += 1
        if counted is not None:
            os.pwrite(counted, str(taken).encode(), 0)

    sys.addaudithook(hook)


def killed_at(step, folder, function):
    """Carries a function out in a forked process, killed before a step; whether it was killed.

    Raises:
        RuntimeError: if it failed.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            count_steps(folder, step)
            function()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if status:
        raise RuntimeError(f"the process ended by {status}")
    return False
