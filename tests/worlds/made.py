"""What a command has left in a folder, to be held against what another command line left elsewhere."""

import json
from pathlib import Path

RECORDS = ("_run.json", "run.json")


def made_in(folder: Path) -> dict[str, bytes]:
    """Every file by its name; of records all but the command line, which tells where things lie."""
    paths = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): made(path) for path in paths}


def made(path: Path) -> bytes:
    """One of them."""
    content = path.read_bytes()
    if path.name not in RECORDS and not path.name.endswith(".ncaudit.json"):
        return content
    record = json.loads(content)
    assert record.pop("command").startswith("ncaudit ")
    return json.dumps(record, sort_keys=True).encode()
