"""What an agent may reach, and by which means it is held to that. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from tokenweir.core.errors import AgentError


class Means(StrEnum):
    """What confines."""

    LANDLOCK = "landlock"
    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """Told to `confine`, which becomes the command. Paths are absolute."""

    means: Means
    command: tuple[str, ...]
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    port: int | None = None  # of TCP, that may be connected to; 0 for none
    parent: int = 0  # the process that it dies with; 0: lives on


#: Read by every program; beside them only what is named. What is not there is passed over.
SYSTEM = (
    "/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store", "/proc", "/sys",
    "/dev/random", "/dev/urandom",
)  # fmt: skip
#: Devices that are written to and give nothing away.
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")

#: Of the user's environment only these are passed on: none of them is a secret.
PASSED_ON = frozenset(
    ("PATH", "LANG", "LANGUAGE", "TERM", "COLORTERM", "TZ", "USER", "LOGNAME", "SHELL", "VIRTUAL_ENV", "NO_COLOR")
)  # fmt: skip
#: Commits that an agent makes need a name, and the user's own is in a file that it cannot read.
_COMMITTER = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "weir run"), ("EMAIL", "run@tokenweir.invalid"))
}

NO_MEANS = (
    "this kernel has no Landlock and bubblewrap is not installed, so nothing would keep the agent from your files; "
    "install bubblewrap, or go without with --no-sandbox"
)


def environment(
    user: Mapping[str, str], own: Mapping[str, str], *, home: str, run: str, named: Sequence[str] = ()
) -> dict[str, str]:
    """What a confined program sees: harmless variables of the user's, those that the user named, and `own`."""
    passed = {n: v for n, v in user.items() if n in PASSED_ON or n.startswith("LC_") or n in named}
    return passed | _COMMITTER | {"HOME": home, "TMPDIR": f"{home}/tmp", "WEIR_RUN": run} | dict(own)


def uncovering(paths: Iterable[str], private: Iterable[str]) -> tuple[str, ...]:
    """Paths without those that hold a private one, each once: a PATH that names the home does not open it."""
    hidden = tuple(private)
    return tuple(
        dict.fromkeys(
            p for p in paths if not any(h == p or h.startswith(f"{p.rstrip('/')}/") for h in hidden)
        )
    )


def choose(landlock_abi: int, bubblewrap: str, *, wanted: bool) -> Means:
    """The best means there is; NONE only where the user does not want any. Raises AgentError."""
    if not wanted:
        return Means.NONE
    if landlock_abi:
        return Means.LANDLOCK
    if bubblewrap:
        return Means.BUBBLEWRAP
    raise AgentError(NO_MEANS)


def told(means: Means, landlock_abi: int, network_abi: int) -> str:
    """What holds, in words."""
    if means is Means.NONE:
        return "none: the agent can read and write all that you can"
    if means is Means.BUBBLEWRAP:
        return "bubblewrap: files; the network is open"
    if landlock_abi < network_abi:
        return f"Landlock {landlock_abi}: files, and sockets of TCP alone; this kernel cannot tell its ports apart"
    return f"Landlock {landlock_abi}: files, and the gateway's port alone"


def bubblewrap(program: str, confinement: Confinement) -> tuple[str, ...]:
    """The command under bubblewrap: a file system of its own, in which only the paths named are there."""
    words = [program, "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--new-session"]
    # Its own, and first: what is named may lie there.
    words += ["--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev"]
    for option, paths in (("--ro-bind-try", confinement.read), ("--bind", confinement.write)):
        for path in paths:
            if path != "/proc" and not path.startswith("/dev/"):
                words += [option, path, path]
    if confinement.port == 0:
        words.append("--unshare-net")
    return (*words, "--", *confinement.command)
