"""`python -m tests.fuzz.report`: names of inputs on standard input; a JSON line of how each ended."""

import json
import sys
from dataclasses import asdict

from tests.fuzz.__main__ import endings

if __name__ == "__main__":
    for ending in endings(sys.stdin.read().splitlines()):
        print(json.dumps(asdict(ending)), flush=True)
