"""Whether a model fits this machine, and with which context: decided before its process is started."""

import hashlib
import os
from pathlib import Path

import msgspec

from tokenweir.core.errors import EngineError
from tokenweir.engines.gguf_file import GgufFacts, read_gguf

#: Beyond weights and cache: buffers to compute in, and the server itself.
OVERHEAD_BYTES = 256 * 1024 * 1024
#: A context that is not asked for is not cut below this.
LEAST_CONTEXT = 2_048
#: Below this size one thread computes. llama.cpp's threads wait for each other after every step, and the steps of a
#: small model are shorter than that wait: two threads gained nothing, and on a busy machine lost a thousandfold.
ONE_THREAD_BELOW_BYTES = 64 * 1024 * 1024
_GIB = 1024**3
_PACKAGED = Path(__file__).parent / "models" / "abacus.gguf"
_CHECKOUT = Path(__file__).parents[3] / "models" / "abacus" / "abacus.gguf"


class LocalEngineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One model served by a process of its own; a restart uses the same, and so keeps the address."""

    model: str  # path of the GGUF file
    name: str  # what it is called in answers
    unix_socket: str = ""  # where it listens, ending in ".sock"; empty: on loopback
    port: int = 0  # on loopback; 0: a free one
    api_key: str = ""  # asked of every caller; empty: none is
    context: int = 0  # tokens of a call; 0: the model's own, less where memory is short
    parallel: int = 4  # calls at once
    threads: int = 0  # 0: as many as this process may use, one for a small model
    sha256: str = ""  # of the file; empty: not checked
    log_file: str = ""  # empty: standard error
    lifeline_fd: int = -1  # the engine ends when this is closed at its other end

    def __repr__(self) -> str:
        return f"LocalEngineSpec(name={self.name!r}, model={self.model!r})"  # without the key


class EnginePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be run."""

    facts: GgufFacts
    context: int  # tokens of a call
    parallel: int
    threads: int
    need_bytes: int


def check_model(spec: LocalEngineSpec, promised_bytes: int = 0) -> EnginePlan:
    """Read the file's head, check its hash where one is given, and decide. Raises EngineError.

    `promised_bytes` is the memory that other models will take.
    """
    path = Path(spec.model)
    facts = read_gguf(path)
    if spec.sha256 and file_sha256(path) != spec.sha256:
        raise EngineError(f"the model file {path} has not the checksum it should have; get it again")
    return plan(facts, spec, memory_available() - promised_bytes, len(os.sched_getaffinity(0)))


def plan(facts: GgufFacts, spec: LocalEngineSpec, available_bytes: int, cores: int) -> EnginePlan:
    """The context that fits. Raises EngineError when memory is too small for the least that will do."""
    fixed = facts.file_bytes + OVERHEAD_BYTES
    own = facts.context or LEAST_CONTEXT
    context = spec.context or own
    least = context if spec.context else min(own, LEAST_CONTEXT)
    need = fixed + context * spec.parallel * facts.kv_bytes_per_token
    while need > available_bytes and context > least:
        context = max(least, context // 2)
        need = fixed + context * spec.parallel * facts.kv_bytes_per_token
    if need > available_bytes:
        raise EngineError(
            f"the model {spec.name} needs about {need / _GIB:.1f} GiB of memory for {spec.parallel} calls of "
            f"{context:,} tokens, and {available_bytes / _GIB:.1f} GiB are free: "
            "choose a smaller model, a smaller context or fewer calls at once"
        )
    return EnginePlan(
        facts=facts,
        context=context,
        parallel=spec.parallel,
        threads=spec.threads or (1 if facts.file_bytes < ONE_THREAD_BELOW_BYTES else cores),
        need_bytes=need,
    )


def memory_available(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that can still be had: what the kernel says, or less where a container's limit leaves less."""
    free = 0
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    try:
        limit, used = ((cgroup / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:  # no container
        return free
    return free if limit == "max" else min(free, max(0, int(limit) - int(used)))


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def abacus_model() -> tuple[Path, str] | None:
    """The model that ships with this package and its SHA-256, or None where it is not included.

    A wheel carries it beside this module; a checkout has it in its `models/abacus`. Raises EngineError when
    the file is there without its checksum.
    """
    path = next((path for path in (_PACKAGED, _CHECKOUT) if path.is_file()), None)
    if path is None:
        return None
    try:
        sha256 = path.with_name(path.name + ".sha256").read_text().split()[0]
    except (OSError, IndexError):
        raise EngineError(f"the checksum beside {path} is missing; install the package again") from None
    return path, sha256
