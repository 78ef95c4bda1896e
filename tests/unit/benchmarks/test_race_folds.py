"""Stacks and components out of what `perf script` prints (benchmarks/race/folds.py)."""

import pytest

from benchmarks.race import folds
from benchmarks.race.folds import Frame, Kind, Sample

PYTHON = "/opt/python/lib/libpython3.11.so.1.0"
LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"
UVLOOP = "/site-packages/uvloop/loop.cpython-311-x86_64-linux-gnu.so"
OURS = "/streambus/protocol/_kernel_produce.cpython-311-x86_64-linux-gnu.so"
CRC = "/site-packages/crc32c/_crc32c.cpython-311-x86_64-linux-gnu.so"
KERNEL = "[kernel.kallsyms]"

SCRIPT = f"""\
streambus  100/100  
\tffffffff820123b1 tcp_recvmsg_locked ({KERNEL})
\tffffffff821ef691 do_syscall_64 ({KERNEL})
\t           f82ec read ({LIBC})
\tffffffffffffffff [unknown] ([unknown])

rdk:broker1  200/203  
\t           10a2b rd_kafka_broker_serve (/usr/lib/librdkafka.so.1)

streambus  100/101  

rdk main  200/200  
\t           10a2b memcpy@plt (/usr/lib/librdkafka.so.1)
"""


def test_samples_are_read_with_their_calls_and_empty_ones_are_left_away() -> None:
    first, second, third = folds.samples(SCRIPT.splitlines())
    assert (first.command, first.pid, first.tid) == ("streambus", 100, 100)
    assert first.calls[0] == ("tcp_recvmsg_locked", KERNEL)
    assert len(first.calls) == 4
    assert (second.command, second.tid) == ("rdk:broker1", 203)
    assert (third.command, third.calls) == (
        "rdk main",
        (("memcpy@plt", "/usr/lib/librdkafka.so.1"),),
    )


def test_stacks_begin_outermost_and_lack_what_says_nothing() -> None:
    first = next(folds.samples(SCRIPT.splitlines()))
    assert list(folds.folded([first, first]).items()) == [
        (
            (
                Frame("streambus, main thread", Kind.THREAD),
                Frame("read", Kind.LIBC),
                Frame("tcp_recvmsg_locked", Kind.KERNEL),
            ),
            2,
        )
    ]


def sample(*calls: tuple[str, str]) -> Sample:
    return Sample("streambus", 1, 2, calls)


def names(*calls: tuple[str, str]) -> list[str]:
    (stack,) = folds.folded([sample(*calls)])
    assert stack[0].name == "streambus, other threads"
    return [frame.name for frame in stack[1:]]


def test_frames_of_the_interpreter_that_follow_each_other_are_one() -> None:
    evaluate = ("_PyEval_EvalFrameDefault", PYTHON)
    vector = ("_PyEval_Vector", PYTHON)
    run = ("__pyx_f_6uvloop_4loop_4Loop__run", UVLOOP)
    assert names(evaluate, vector, evaluate, run, evaluate) == [
        "the interpreter",
        "loop.Loop._run",
        "the interpreter",
    ]
    assert names(("dict_lookup", PYTHON), evaluate) == ["the interpreter", "dict_lookup"]


def test_a_wrapper_and_its_function_are_one() -> None:
    both = "__pyx_pf_6uvloop_4loop_4Loop_44run_until_complete", UVLOOP
    wrapper = "__pyx_pw_6uvloop_4loop_4Loop_45run_until_complete", UVLOOP
    assert names(both, wrapper) == ["loop.Loop.run_until_complete"]


@pytest.mark.parametrize(
    ("symbol", "wanted"),
    [
        (
            "__pyx_pw_9streambus_8protocol_15_kernel_produce_1read_sent",
            "protocol._kernel_produce.read_sent",
        ),
        ("__pyx_f_6uvloop_4loop_6Handle__run", "loop.Handle._run"),
        ("__Pyx_PyObject_FastCallDict", "__Pyx_PyObject_FastCallDict"),
        ("finish_task_switch.isra.0", "finish_task_switch"),
        ("ext4_fsync_nojournal.constprop.0", "ext4_fsync_nojournal"),
    ],
)
def test_names_are_readable(symbol: str, wanted: str) -> None:
    assert folds.readable(symbol) == wanted


@pytest.mark.parametrize(
    ("calls", "wanted"),
    [
        (
            ["_copy_to_iter", "tcp_recvmsg_locked", "sock_recvmsg", "vfs_read"],
            "socket receive copy",
        ),
        (["tcp_v4_rcv", "net_rx_action", "tcp_sendmsg_locked", "__sys_sendto"], "socket send"),
        (
            ["_raw_spin_unlock_irqrestore", "try_to_wake_up", "tcp_v4_rcv", "tcp_sendmsg"],
            "scheduling and wake-ups",
        ),
        (["ep_poll", "do_epoll_wait"], "scheduling and wake-ups"),
        (["eventfd_write", "vfs_write"], "scheduling and wake-ups"),
        (["clear_page_erms", "handle_mm_fault", "exc_page_fault", "tcp_recvmsg"], "page faults"),
        (["ext4_da_write_begin", "generic_perform_write", "vfs_writev"], "page cache write"),
        (["copy_page", "filemap_splice_read", "do_sendfile"], "page cache read"),
        (["folio_clear_dirty", "ext4_writepages", "do_fsync"], "sync and block layer"),
        (["folio_end_writeback", "ext4_end_bio", "blk_done_softirq"], "sync and block layer"),
        (["vm_mmap_pgoff"], "other kernel"),
    ],
)
def test_time_in_the_kernel_belongs_to_the_innermost_purpose(calls: list[str], wanted: str) -> None:
    stack = tuple((symbol, KERNEL) for symbol in [*calls, "entry_SYSCALL_64_after_hwframe"])
    assert folds.component((*stack, ("sock_recvmsg", LIBC))) == wanted


@pytest.mark.parametrize(
    ("symbol", "object_file", "wanted"),
    [
        ("_PyEval_EvalFrameDefault", PYTHON, "interpreter"),
        ("s_pack", "/lib/python3.11/lib-dynload/_struct.cpython-311.so", "interpreter"),
        ("_crc32c_hw_adler", CRC, "CRC"),
        ("crc32c_hw", "/usr/lib/librdkafka.so.1", "CRC"),
        ("__memmove_avx512_unaligned_erms", LIBC, "memory copies (libc)"),
        ("malloc", LIBC, "other libc"),
        ("uv__read", UVLOOP, "uvloop"),
        ("__pyx_f_decode", OURS, "our kernels"),
        ("decode", "/site-packages/msgspec/_core.cpython-311.so", "other extension modules"),
        ("rd_kafka_produce", "/usr/lib/librdkafka.so.1", "librdkafka"),
        ("LZ4_compress", "/usr/lib/liblz4.so.1", "compression"),
        ("EVP_EncryptUpdate", "/usr/lib/libcrypto.so.3", "TLS"),
        ("put", "/tmp/tools/loadgen", "load generator"),
        ("[unknown]", "[unknown]", "unknown"),
    ],
)
def test_time_outside_the_kernel_belongs_to_the_innermost_frame(
    symbol: str, object_file: str, wanted: str
) -> None:
    assert folds.component(((symbol, object_file), ("main", PYTHON))) == wanted


def test_shares_are_of_all_samples_and_the_largest_is_first() -> None:
    taken = [sample(("malloc", LIBC)), *[sample(("uv_run", UVLOOP))] * 3]
    assert list(folds.shares(taken).items()) == [("uvloop", 0.75), ("other libc", 0.25)]
