"""Landlock: a process gives up, for itself and its children, all files and TCP ports but those that it names.

Numbers are those of linux/landlock.h; what a kernel lacks is left out, by the version of its ABI.
https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

#: The same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_CONNECT_TCP = 1 << 1
_SCOPES = 0b11  # abstract Unix sockets and signals stay inside
_READ = _EXECUTE | _READ_FILE | _READ_DIR
#: Rights that make sense on a file that is no directory.
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
#: By version of the ABI: every right on files that it knows.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
#: Ports can be named from this version on, and scopes from that one.
NETWORK_ABI, SCOPES_ABI = 4, 6

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """The version that this kernel has; 0 where it has none, or where it is switched off."""
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return max(0, version)


def restrict(read: Iterable[str], write: Iterable[str], port: int | None) -> None:
    """Give up everything but these, for good. `port`: the one that may be connected to; 0 for none, None for any.

    Paths that are not there are passed over. Whoever may gain rights must have forgone them. Raises OSError.
    """
    version = abi()
    every = _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]
    network = _CONNECT_TCP if port is not None and version >= NETWORK_ABI else 0
    words = (every, network, _SCOPES)[: 1 if version < NETWORK_ABI else 2 if version < SCOPES_ABI else 3]
    ruleset = _call(_CREATE_RULESET, struct.pack(f"={len(words)}Q", *words), len(words) * 8, 0)
    try:
        for paths, rights in ((read, _READ), (write, every)):
            for path in paths:
                _allow(ruleset, path, rights & every)
        if network and port:
            _call(_ADD_RULE, ruleset, _NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= _OF_FILES
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    finally:
        os.close(beneath)


def _call(number: int, *arguments: int | bytes) -> int:
    """A system call that libc has no function for. Raises OSError."""
    as_c = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *as_c)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{os.strerror(code)} (Landlock, system call {number})")
    return result
