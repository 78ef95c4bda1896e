"""What `perf script` prints as stacks with counts, and what each sample was spent on.

Python 3.11 does not tell perf its functions, so frames are native. The interpreter's own frames
that follow each other are one here: without names of Python functions they say nothing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

SCRIPT_FIELDS = "comm,pid,tid,ip,sym,dso"
HEAD = re.compile(r"^(\S.*?)\s+(\d+)/(\d+)\s*$")
CALL = re.compile(r"^\s+[0-9a-f]+ (.+) \((.+)\)$")


class Kind(StrEnum):
    """Whose code a frame is."""

    KERNEL = "kernel"
    INTERPRETER = "interpreter"
    LIBC = "libc"
    EXTENSION = "extension modules"
    PROGRAM = "programs and other libraries"
    UNKNOWN = "unknown"
    THREAD = "threads"


@dataclass(frozen=True, slots=True)
class Frame:
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Sample:
    """`calls` are (symbol, object file), the innermost first."""

    command: str
    pid: int
    tid: int
    calls: tuple[tuple[str, str], ...]


Stack = tuple[Frame, ...]
"""The outermost first."""


def samples(script: Iterable[str]) -> Iterator[Sample]:
    """Out of the lines of `perf script -F comm,pid,tid,ip,sym,dso`."""
    head, calls = None, list[tuple[str, str]]()
    for line in (*script, ""):
        if call := CALL.match(line):
            calls.append((call[1], call[2]))
            continue
        if head and calls:
            yield Sample(head[1], int(head[2]), int(head[3]), tuple(calls))
            head, calls = None, []
        head = HEAD.match(line) or head


def kind(object_file: str) -> Kind:
    name = object_file.rsplit("/", 1)[-1]
    if object_file == "[unknown]":
        return Kind.UNKNOWN
    if name.startswith(("libc.", "libc-", "libm.", "ld-linux", "libpthread", "[vdso")):
        return Kind.LIBC
    if object_file.startswith("[") or name.endswith((".ko", ".ko.xz", ".ko.zst")):
        return Kind.KERNEL
    if name.startswith(("libpython", "python3")) or "/lib-dynload/" in object_file:
        return Kind.INTERPRETER
    return Kind.EXTENSION if ".cpython-" in name or ".abi3." in name else Kind.PROGRAM


# Folding

# They stand in every stack and say nothing.
NOISE = re.compile(
    r"^(entry_SYSCALL|do_syscall_|x64_sys_call|__x64_sys_|_start$|__libc_start|clone3?$)"
)
INTERPRETER = "the interpreter"
# How the interpreter runs and calls; other functions of it have names that tell something.
PLUMBING = re.compile(
    r"^_?Py(Eval|Object_(Call|Vectorcall|FastCall|MakeTpCall)|Run|Gen|Function|VectorcallFunction)"
    r"|^Py_(Run|Bytes)Main|vectorcall|^_?cfunction|^(method|slot_tp|slot_am|partial|builtin_exec)_"
    r"|^(gen|run|thread|pythread|pymain|context)_|^object_vacall|^bounded_lru"
)


def folded(taken: Iterable[Sample]) -> Counter[Stack]:
    counted: Counter[Stack] = Counter()
    for sample in taken:
        thread = "main thread" if sample.pid == sample.tid else "other threads"
        root = Frame(f"{sample.command}, {thread}", Kind.THREAD)
        counted[root, *_frames(sample)] += 1
    return counted


def _frames(sample: Sample) -> list[Frame]:
    """The outermost first, equal neighbours as one: a function of Cython and its wrapper."""
    frames: list[Frame] = []
    for symbol, object_file in reversed(sample.calls):
        of = kind(object_file)
        if of is Kind.UNKNOWN or NOISE.match(symbol):
            continue
        name = INTERPRETER if of is Kind.INTERPRETER else readable(symbol)
        if frames[-1:] != [Frame(name, of)]:
            frames.append(Frame(name, of))
    symbol, object_file = sample.calls[0]
    if kind(object_file) is Kind.INTERPRETER and not PLUMBING.search(symbol):
        frames.append(Frame(symbol, Kind.INTERPRETER))
    return frames


def readable(symbol: str) -> str:
    """`module.function` for a name that Cython made, where each part has its length before it."""
    found = re.match(r"__pyx_(?:pw|pf|f|gb)_(\d.*)", symbol)
    if found is None:
        return symbol.partition(".isra.")[0].partition(".constprop.")[0]
    rest, parts = found[1], list[str]()
    while length := re.match(r"\d+", rest):
        end = length.end() + int(length[0])
        if rest[end : end + 1] != "_":
            break
        parts.append(rest[length.end() : end])
        rest = rest[end + 1 :]
    return ".".join([*parts[1:], rest.lstrip("0123456789")])


# Components

OTHER_KERNEL = "other kernel"
# The innermost frame that says a purpose has it: a wake-up inside a send is a wake-up.
PURPOSES = {
    "page faults": r"^(asm_)?exc_page_fault$|^handle_mm_fault$",
    "scheduling and wake-ups": (
        r"^(__|preempt_|io_)?schedule|^finish_task_switch|^try_to_wake_up|^_*wake_(up|q)|^futex|"
        r"^do_futex|epoll|^ep_|^eventfd_|^exit_to_user_mode_loop|^do_(nanosleep|poll)"
    ),
    "socket receive copy": r"^tcp_recvmsg|^(__)?sock_recvmsg|^__sys_recv|^sock_read_iter",
    "socket send": r"^tcp_sendmsg|^(__)?sock_sendmsg|^__sys_send|^sock_write_iter|^do_sendfile",
    "sync and block layer": (
        r"fsync|fdatasync|sync_file|^blk_|^submit_bio|writepages|^filemap_fdata|^virtblk|_end_bio"
    ),
    "page cache write": r"_write_iter$|^generic_perform_write|^vfs_(iter_)?write|^iomap_.*write",
    "page cache read": r"_read_iter$|^filemap_(read|splice_read)|^vfs_(iter_)?read",
}
PURPOSE = {name: re.compile(pattern) for name, pattern in PURPOSES.items()}
MEMORY = re.compile(r"mem(cpy|move|set|cmp|chr)")
LIBRARIES = {
    "librdkafka": "librdkafka",
    "liblz4": "compression",
    "libssl": "TLS",
    "libcrypto": "TLS",
}
PROGRAMS = ("librdkafka_load", "loadgen", "relay")


def component(calls: tuple[tuple[str, str], ...]) -> str:
    """What a sample was spent on; `calls` with the innermost first."""
    symbol, object_file = calls[0]
    match kind(object_file):
        case Kind.KERNEL:
            return _purpose(calls)
        case _ if "crc" in symbol.lower():
            return "CRC"
        case Kind.LIBC:
            return "memory copies (libc)" if MEMORY.search(symbol) else "other libc"
        case Kind.INTERPRETER:
            return "interpreter"
        case Kind.EXTENSION:
            return _extension(object_file)
        case Kind.PROGRAM:
            return _program(object_file.rsplit("/", 1)[-1])
    return "unknown"


def _purpose(calls: tuple[tuple[str, str], ...]) -> str:
    for symbol, object_file in calls:
        if kind(object_file) is not Kind.KERNEL:
            break
        for purpose, pattern in PURPOSE.items():
            if pattern.search(symbol):
                return purpose
    return OTHER_KERNEL


def _extension(object_file: str) -> str:
    if "/uvloop/" in object_file:
        return "uvloop"
    return "our kernels" if "/_kernel" in object_file else "other extension modules"


def _program(name: str) -> str:
    if name in PROGRAMS:
        return "load generator"
    return next((said for start, said in LIBRARIES.items() if name.startswith(start)), "other")


def shares(taken: Iterable[Sample]) -> dict[str, float]:
    """The share of samples of each component, the largest first."""
    counted = Counter(component(sample.calls) for sample in taken)
    total = counted.total()
    return {name: count / total for name, count in counted.most_common()}
