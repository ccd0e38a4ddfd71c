"""`python -m tests.fuzz.report`: names of inputs on standard input, how each ended as a JSON line on standard output."""

import json
import sys
from dataclasses import asdict

from tests.fuzz.__main__ import endings

if __name__ == "__main__":
    for ending in endings(sys.stdin.read().splitlines()):
        print(json.dumps(asdict(ending)), flush=True)
