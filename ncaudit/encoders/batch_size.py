"""How many pairs the model takes at once, found from the model and the device alone.

Knows encoders; nothing of data. The answer is recorded by the caller: on a GPU it depends on the memory free just now.
"""

import math

import torch

from ncaudit.encoders.open_clip import Encoder

CPU_PAIRS_AT_224 = 64  # a CPU gains nothing above it, and caches are small
CPU_RANGE = (8, 256)
CUDA_RANGE = (32, 1024)
CUDA_MEMORY_SHARE = 0.5  # of what is free: activations of other batches, captions and fragmentation need the rest


def automatic_batch_pairs(encoder: Encoder) -> int:
    """A power of two that keeps the device busy and fits."""
    if encoder.device.type == "cuda":
        return _cuda_batch_pairs(encoder)
    height, width = encoder.preprocess.size
    wanted = CPU_PAIRS_AT_224 * (224 * 224) / (height * width)
    low, high = CPU_RANGE
    return min(high, max(low, 1 << max(0, round(math.log2(wanted)))))


def _cuda_batch_pairs(encoder: Encoder) -> int:
    size, most = CUDA_RANGE
    free, _ = torch.cuda.mem_get_info(encoder.device)
    while size < most and 2 * _peak_bytes(encoder, size) < CUDA_MEMORY_SHARE * free:
        size *= 2
    return size


def _peak_bytes(encoder: Encoder, size: int) -> float:
    """Bytes that a batch of this size takes at its peak; infinite when it does not fit."""
    held = torch.cuda.memory_allocated(encoder.device)
    torch.cuda.reset_peak_memory_stats(encoder.device)
    try:
        encoder.encode_images(torch.zeros(size, *encoder.preprocess.size, 3, dtype=torch.uint8))
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return float("inf")
    return float(torch.cuda.max_memory_allocated(encoder.device) - held)
