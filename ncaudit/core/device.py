"""Which device and which precision to compute with.

Knows what this machine can do, and times a small product where asking is not enough; nothing of models or the CLI.
"""

from collections.abc import Sequence
from functools import lru_cache
from time import thread_time

import torch

from ncaudit.errors import NcauditError

ALL = "all"
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")


def pick_device(name: str = "auto") -> torch.device:
    """The device to compute on: `auto` takes the first CUDA device, else the CPU; `mps` only when asked for.

    name: auto, cpu, cuda, cuda:N or mps. Raises NcauditError for an unknown name or a device that is not there.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        # mps is never a default: its bfloat16 and float32 results drift from the CPU's by more than our tolerances
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in DEVICES:
        raise NcauditError(f"no device is called {name!r}", fix=f"give one of: {', '.join(DEVICES)} (or cuda:1, …)")
    if not _is_there(device):
        raise NcauditError(f"this machine or this torch has no {name}", fix="leave the device at auto, or give cpu")
    return device


def pick_devices(names: Sequence[str]) -> list[str]:
    """Names of devices that are there, one for each given; the single name `all` means every GPU that can be seen.

    Raises NcauditError like `pick_device`, and when there is no GPU to be seen.

    >>> pick_devices(["cpu", "cpu"])
    ['cpu', 'cpu']
    """
    if list(names) != [ALL]:
        return [str(pick_device(name)) for name in names]
    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if not found:
        raise NcauditError("this machine or this torch has no GPU", fix="leave the device at auto, or give cpu")
    return found


def pick_precision(device: torch.device, name: str = "auto") -> torch.dtype:
    """The number type to run encoders in: bfloat16 where the hardware is faster with it, else float32.

    name: auto, float32 or bfloat16. An asked-for type is given even where it is slow. Raises NcauditError for others.
    On a CPU `auto` times a small product once per process: record the answer, do not ask again for the next shard.

    >>> pick_precision(torch.device("cpu"), "float32")
    torch.float32
    """
    if name not in PRECISIONS:
        raise NcauditError(f"no precision is called {name!r}", fix=f"give one of: {', '.join(PRECISIONS)}")
    if name == "auto":
        return torch.bfloat16 if _gains_from_bfloat16(device) else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def matmul_dtype(device: torch.device) -> torch.dtype:
    """The number type of the first, rough pass of the neighbour search; the answers are float32 in any case.

    >>> matmul_dtype(torch.device("meta"))
    torch.float32
    """
    if device.type == "cuda":
        return torch.float16  # as fast as bfloat16 there, with three more bits: unit rows never leave its range
    return _fastest_cpu_product(_native_halves()) if device.type == "cpu" else torch.float32


def _is_there(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu" and not device.index


def _gains_from_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    native = tuple(dtype for dtype in _native_halves() if dtype == torch.bfloat16)
    return device.type == "cpu" and _fastest_cpu_product(native) == torch.bfloat16


def _native_halves() -> tuple[torch.dtype, ...]:
    """The half types this CPU multiplies without emulation."""
    # `torch.ops.mkldnn._is_mkldnn_bf16_supported` also says yes to plain AVX512, where bfloat16 is emulated
    bfloat16 = _cpu_says("_is_avx512_bf16_supported") or _cpu_says("_is_amx_tile_supported")
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.6 has none
    float16 = capabilities.get("avx512_fp16", False) or capabilities.get("amx_fp16", False)
    return (torch.float16,) * bool(float16) + (torch.bfloat16,) * bfloat16


def _cpu_says(probe: str) -> bool:
    return bool(getattr(torch.cpu, probe, bool)())


@lru_cache
def _fastest_cpu_product(halves: tuple[torch.dtype, ...]) -> torch.dtype:
    """The fastest type for a product of encoder size; float32 unless a half type gains a fifth.

    Having the instruction does not mean gaining: virtual machines hide AMX, and what is left was measured from
    0.6 times (a Xeon with AVX512-BF16 but no AMX) to 4 times the speed of float32.
    """
    types = (torch.float32, *halves)
    if len(types) == 1:
        return torch.float32
    pairs = {dtype: (torch.ones(256, 768, dtype=dtype), torch.ones(768, 768, dtype=dtype)) for dtype in types}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for one another on a busy machine burn time like those that work
    try:  # the least of several, as the first call of a type also compiles it
        seconds = {dtype: min(_seconds(*pairs[dtype]) for _ in range(6)) for dtype in types}
    finally:
        torch.set_num_threads(threads)
    best = min(types, key=seconds.__getitem__)
    return best if seconds[best] * 1.2 < seconds[torch.float32] else torch.float32


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    start = thread_time()  # not the wall clock: on a busy machine that measures the others
    torch.nn.functional.linear(left, right)
    return thread_time() - start
