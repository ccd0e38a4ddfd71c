"""Which device and which precision to compute with.

Knows what this machine can do; nothing of models, batches or the CLI.
"""

import torch

from ncaudit.errors import NcauditError

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


def pick_precision(device: torch.device, name: str = "auto") -> torch.dtype:
    """The number type to run encoders in: bfloat16 where the hardware multiplies it natively, else float32.

    name: auto, float32 or bfloat16. An asked-for type is given even where it is slow. Raises NcauditError for others.

    >>> pick_precision(torch.device("cpu"), "float32")
    torch.float32
    """
    if name not in PRECISIONS:
        raise NcauditError(f"no precision is called {name!r}", fix=f"give one of: {', '.join(PRECISIONS)}")
    if name == "auto":
        return torch.bfloat16 if _has_native_bfloat16(device) else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def matmul_dtype(device: torch.device) -> torch.dtype:
    """The number type of the first, rough pass of the neighbour search; the answers are float32 in any case.

    >>> matmul_dtype(torch.device("meta"))
    torch.float32
    """
    if device.type == "cuda":
        return torch.float16  # as fast as bfloat16 there, with three more bits: unit rows never leave its range
    return torch.bfloat16 if _has_native_bfloat16(device) else torch.float32


def _is_there(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu" and not device.index


def _has_native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and _cpu_has_native_bfloat16()


def _cpu_has_native_bfloat16() -> bool:
    # `torch.ops.mkldnn._is_mkldnn_bf16_supported` also says yes to plain AVX512, where bfloat16 is emulated and slower
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch 2.6 has no public question for these
    return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)
