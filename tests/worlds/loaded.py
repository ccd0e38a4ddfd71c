"""What a process loads from which warm commands are forked: all that takes seconds, and runs nothing of it."""

import open_clip  # noqa: F401 - loaded, not used
import torch

import ncaudit.verbs.audit.audit
import ncaudit.verbs.train.train  # noqa: F401

torch.set_num_threads(1)  # what is forked shares the machine with other tests
