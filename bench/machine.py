"""What the operating system says: of this machine, and of what a tree of processes has used."""

import os
import platform
import time
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def describe() -> str:
    """One line: processor, cores, memory, kernel, Python."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cpu}, {cores} cores, {memory_gib:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def tree(root: int) -> list[int]:
    """The process `root` and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended while we looked
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_s(pids: list[int]) -> float:
    """Seconds of processor that these processes have used, user and system, all threads, ended ones too."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_S


def all_ticks() -> list[int]:
    """What the cores have done so far: user, nice, system, idle, waiting for a disk, interrupts, more interrupts, taken by the host."""
    first = Path("/proc/stat").read_text().partition("\n")[0]
    return [int(field) for field in first.split()[1:9]]


def idle_share(before: list[int], after: list[int]) -> float:
    """How much of all cores was idle between two looks: from 0 to 1."""
    used = [now - then for now, then in zip(after, before, strict=True)]
    return (used[3] + used[4]) / max(1, sum(used))


#: Beyond this a measurement says little of what something takes on a machine of its own.
QUIET = 0.2


def warning(busy: float) -> str:
    """What has to be said of figures that were taken beside other work; nothing where there was little."""
    if busy <= QUIET:
        return ""
    return (
        f" **With {busy:.0%} of it busy with other work this run does not say what anything takes on a machine of its own:** "
        "caches are cold, processes wait for each other, and times are mostly waiting."
    )


def busy_share(seconds: float) -> float:
    """How much of all cores was busy, or taken by the machine's host, while this waited: from 0 to 1."""
    before = all_ticks()
    time.sleep(seconds)
    return 1 - idle_share(before, all_ticks())


def written_bytes(pid: int) -> int:
    """What a process has given to the disks so far, as they count it."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def memory_mib(pids: list[int]) -> float:
    """Memory of these processes in MiB, pages that several share counted in equal parts (PSS)."""
    kib = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib / 1024


def largest_mib(pids: list[int]) -> float:
    """Resident memory in MiB of the largest of these processes."""
    page_mib = os.sysconf("SC_PAGE_SIZE") / 2**20
    return max(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * page_mib
