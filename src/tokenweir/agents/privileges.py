"""Rights that a process can give up without a sandbox: to gain any by running a program, and those of root."""

import ctypes
import os
import struct

_PR_SET_NO_NEW_PRIVS = 38
#: linux/capability.h: the third version, two words each of effective, permitted and inheritable.
_CAPABILITY_VERSION = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def forgo() -> None:
    """Gain nothing from now on by set-user-id programs, and have no capability. Raises OSError.

    Where the user is root it would else read the environments of other processes, whatever Landlock says
    (CAP_PERFMON, from Linux 6.14 on).
    """
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise _error("prctl(PR_SET_NO_NEW_PRIVS)")
    if _libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)) != 0:
        raise _error("capset")


def _error(what: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{os.strerror(code)} ({what})")
