"""A filter on system calls: what Landlock does not see of the network, and keys that the kernel keeps.

Landlock knows TCP by its port, and no other way out: a Unix socket's path is not looked at when one connects (the ledger's
writer and Docker listen on such), nor are UDP, MPTCP or io_uring. So only plain TCP sockets can be made, and pairs
of Unix sockets, which lead nowhere but to a child.
"""

import ctypes
import errno
import os
import struct

from tokenweir.core.errors import AgentError

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
#: Offsets of struct seccomp_data; of an argument its low half (all of these machines are little-endian).
_NUMBER, _ARCH, _FAMILY, _TYPE, _PROTOCOL = 0, 4, 16, 24, 32
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_AF_INET, _AF_INET6, _AF_NETLINK, _SOCK_STREAM, _TYPE_MASK, _IPPROTO_TCP = 2, 10, 16, 1, 0xF, 6
_X32 = 0x40000000  # x86-64's second table of system calls
_IO_URING_SETUP = 425  # on every machine

#: By machine: its AUDIT_ARCH, `socket`, and `add_key`, `request_key`, `keyctl`.
_MACHINES = {
    "x86_64": (0xC000003E, 41, (248, 249, 250)),
    "aarch64": (0xC00000B7, 198, (217, 218, 219)),
    "riscv64": (0xC00000F3, 198, (217, 218, 219)),
    "loongarch64": (0xC0000102, 198, (217, 218, 219)),
}


def program(machine: str) -> bytes:
    """The filter as the kernel reads it: eight bytes an instruction. Raises AgentError for a machine not known."""
    if machine not in _MACHINES:
        raise AgentError(
            f"no sandbox for {machine} machines yet ({', '.join(_MACHINES)}); --no-sandbox goes without"
        )
    arch, socket, keys = _MACHINES[machine]
    no, missing, allow = (
        (_RETURN, 0, 0, _ERRNO | errno.EACCES),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_RETURN, 0, 0, _ALLOW),
    )
    refuse = [i for number in keys for i in ((_EQUAL, 0, 1, number), no)]
    return b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in [
            (_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, arch), no,
            (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), missing,
            (_EQUAL, 0, 1, _IO_URING_SETUP), missing,
            *refuse,
            (_EQUAL, 1, 0, socket), allow,
            (_LOAD, 0, 0, _FAMILY), (_EQUAL, 0, 1, _AF_NETLINK), allow,
            (_EQUAL, 2, 0, _AF_INET), (_EQUAL, 1, 0, _AF_INET6), no,
            (_LOAD, 0, 0, _TYPE), (_AND, 0, 0, _TYPE_MASK), (_EQUAL, 1, 0, _SOCK_STREAM), no,
            (_LOAD, 0, 0, _PROTOCOL), (_EQUAL, 1, 0, 0), (_EQUAL, 0, 1, _IPPROTO_TCP), allow, no,
        ]
    )  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def apply() -> None:
    """Put this process and its children under the filter, for good, once it can gain no rights. Raises OSError, AgentError."""
    code = program(os.uname().machine)
    libc = ctypes.CDLL(None, use_errno=True)
    told = _Program(len(code) // 8, code)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(told), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")
