"""The priority of a thread. A thread can lower its own; to raise it again takes rights that a user does not have."""

from __future__ import annotations

import ctypes
import os
import sys
import threading

NICER = (
    10  # steps of Unix's nice value: a tenth of the processor beside a thread of normal priority that wants all of it
)
_UTILITY = 0x11  # QOS_CLASS_UTILITY of macOS: long work that a user is aware of, and does not wait for
_BELOW_NORMAL = -1  # THREAD_PRIORITY_BELOW_NORMAL of Windows


def lower_own_priority() -> bool:
    """Let other threads go before the calling one from now on, of this process and of others; say whether that was done.

    On Linux, what such a thread starts begins with its priority. Where the system has no priority per thread, nothing changes.
    """
    try:
        return _lower()
    except (OSError, AttributeError):  # a sandbox that refuses it, or a system without the call
        return False


def _lower() -> bool:
    if sys.platform == "linux":
        own = threading.get_native_id()  # on Linux a thread has a nice value of its own
        os.setpriority(os.PRIO_PROCESS, own, min(os.getpriority(os.PRIO_PROCESS, own) + NICER, 19))
        return True
    elif sys.platform == "darwin":
        return bool(ctypes.CDLL(None).pthread_set_qos_class_self_np(_UTILITY, 0) == 0)
    elif sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentThread.restype = ctypes.c_void_p
        kernel.SetThreadPriority.argtypes = [ctypes.c_void_p, ctypes.c_int]
        return bool(kernel.SetThreadPriority(kernel.GetCurrentThread(), _BELOW_NORMAL))
    else:
        return False
