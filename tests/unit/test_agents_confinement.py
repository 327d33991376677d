"""What an agent may reach: its environment, the paths, the filter on system calls."""

import errno
import struct

import pytest

from tokenweir.agents.confinement import (
    Confinement,
    Means,
    bubblewrap,
    choose,
    environment,
    told,
    uncovering,
)
from tokenweir.agents.seccomp import program
from tokenweir.core.errors import AgentError

MACHINES = {
    "x86_64": (0xC000003E, 41, 1),
    "aarch64": (0xC00000B7, 198, 64),
    "riscv64": (0xC00000F3, 198, 64),
    "loongarch64": (0xC0000102, 198, 64),
}
ALLOWED = 0x7FFF0000
UNIX, INET, INET6, NETLINK, VSOCK = 1, 2, 10, 16, 40
STREAM, DGRAM, RAW, CLOEXEC = 1, 2, 3, 0o2000000


def test_secrets_of_the_user_are_not_passed_on() -> None:
    user = {
        "PATH": "/bin", "LC_ALL": "C.UTF-8", "TERM": "xterm", "HOME": "/old", "AWS_SECRET_ACCESS_KEY": "s",
        "OPENAI_API_KEY": "s", "GITHUB_TOKEN": "s", "SSH_AUTH_SOCK": "/s", "HTTPS_PROXY": "http://u:s@p", "WANTED": "w",
    }  # fmt: skip
    seen = environment(user, {"OPENAI_API_KEY": "of the run"}, home="/h", run="run_1", named=["WANTED"])
    assert seen["OPENAI_API_KEY"] == "of the run" and seen["WANTED"] == "w" and seen["HOME"] == "/h"
    assert {"PATH", "LC_ALL", "TERM"} <= seen.keys()
    assert "s" not in seen.values()
    assert not {"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK", "HTTPS_PROXY"} & seen.keys()


def test_a_path_that_holds_the_home_does_not_open_it() -> None:
    paths = ("/usr", "/people/a", "/people", "/", "/people/a/bin", "/people/ab", "/usr")
    assert uncovering(paths, ["/people/a", "/var/ledger"]) == ("/usr", "/people/a/bin", "/people/ab")


def test_the_best_means_there_is_is_chosen_and_none_only_where_that_is_wanted() -> None:
    assert choose(7, "/usr/bin/bwrap", wanted=True) is Means.LANDLOCK
    assert choose(0, "/usr/bin/bwrap", wanted=True) is Means.BUBBLEWRAP
    assert choose(7, "/usr/bin/bwrap", wanted=False) is Means.NONE
    with pytest.raises(AgentError, match="--no-sandbox"):
        choose(0, "", wanted=True)
    assert "port" in told(Means.LANDLOCK, 4, 4) and "cannot tell" in told(Means.LANDLOCK, 3, 4)


def test_bubblewrap_gets_every_path_once_and_the_command_last() -> None:
    confined = Confinement(
        means=Means.BUBBLEWRAP, command=("agent", "--go"), read=("/usr", "/proc", "/dev/random"),
        write=("/w", "/dev/null"), port=8787,
    )  # fmt: skip
    words = " ".join(bubblewrap("bwrap", confined))
    assert "--ro-bind-try /usr /usr" in words and "--bind /w /w" in words
    assert (
        "--proc /proc" in words
        and "--dev /dev" in words
        and "/dev/null" not in words
        and "/dev/random" not in words
    )
    assert words.endswith(" -- agent --go") and "--unshare-net" not in words
    alone = Confinement(means=Means.BUBBLEWRAP, command=("t",), port=0)
    assert "--unshare-net" in bubblewrap("bwrap", alone)


def decided(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the filter returns for a system call: the few instructions that it uses, carried out."""
    code = program(machine)
    data = struct.pack("=IIQ6Q", number, MACHINES[machine][0] if arch is None else arch, 0, *arguments, *[0] * (6 - len(arguments)))  # fmt: skip
    at = loaded = 0
    while True:
        what, yes, no, value = struct.unpack_from("=HBBI", code, at * 8)
        at += 1
        if what == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif what == 0x54:
            loaded &= value
        elif what == 0x06:
            return value
        else:
            holds = loaded == value if what == 0x15 else loaded >= value
            at += yes if holds else no


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_lets_plain_tcp_out_and_nothing_else(machine: str) -> None:
    _, socket, write = MACHINES[machine]
    refused = 0x00050000 | errno.EACCES
    for family in (INET, INET6):
        assert decided(machine, socket, family, STREAM) == ALLOWED
        assert decided(machine, socket, family, STREAM | CLOEXEC, 6) == ALLOWED
        assert decided(machine, socket, family, STREAM, 262) == refused  # MPTCP, which Landlock does not see
        assert decided(machine, socket, family, DGRAM | CLOEXEC) == refused
        assert decided(machine, socket, family, RAW, 1) == refused
    assert decided(machine, socket, UNIX, STREAM) == refused
    assert decided(machine, socket, VSOCK, STREAM) == refused
    assert decided(machine, socket, NETLINK, RAW) == ALLOWED
    assert decided(machine, write, 1) == ALLOWED
    assert decided(machine, 425) == 0x00050000 | errno.ENOSYS  # io_uring makes sockets of its own
    assert (
        decided(machine, write, 1, arch=0x40000003) == refused
    )  # the calls of another machine, such as i386
    assert decided(machine, 0x40000000 | socket, UNIX, STREAM) == 0x00050000 | errno.ENOSYS


def test_a_machine_that_is_not_known_is_refused() -> None:
    with pytest.raises(AgentError, match="--no-sandbox"):
        program("pdp11")
