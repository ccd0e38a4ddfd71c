"""Ways to damage a file: bytes in, bytes out, all of them by a seeded generator.

Knows how formats are laid out; nothing of who reads them. Half of the damage is blind; the rest lands where a format
keeps what a reader believes: lengths, offsets, headers, footers, quotes, nesting.
"""

import io
import json
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

Mutator = Callable[[bytes, random.Random], bytes]
NUMBERS = (0, 1, -1, 2**31 - 1, 2**31, -(2**31), 2**63 - 1, -(2**63), 2**64, 10**400, 1e308, -0.5, float("nan"))
LENGTHS = (0, 1, 7, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WORDS = (b'"', b"'", b",", b"\t", b"\n", b"\r", b"\0", b"\\", b"{", b"[", b"}", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[m")


def whole(data: bytes, chance: random.Random) -> bytes:
    """No damage: every command must work then. Never drawn."""
    return data


def flip(data: bytes, chance: random.Random) -> bytes:
    """One to eight bits."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if out:
            out[chance.randrange(len(out))] ^= 1 << chance.randrange(8)
    return bytes(out)


def cut(data: bytes, chance: random.Random) -> bytes:
    """The rest is missing."""
    return data[: chance.randrange(len(data) + 1)]


def behead(data: bytes, chance: random.Random) -> bytes:
    """The first bytes are missing."""
    return data[chance.randrange(len(data) + 1) :]


def insert(data: bytes, chance: random.Random) -> bytes:
    """Random bytes in between."""
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.randint(1, 64)) + data[at:]


def repeat(data: bytes, chance: random.Random) -> bytes:
    """A stretch, twice to twenty times."""
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.randint(1, 512))
    return data[:end] + data[at:end] * chance.randint(1, 19) + data[end:]


def remove(data: bytes, chance: random.Random) -> bytes:
    """A stretch is missing."""
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randint(1, 512) :]


def blank(data: bytes, chance: random.Random) -> bytes:
    """A stretch of zeros, as after a crash of the file system."""
    at = chance.randrange(len(data) + 1)
    long = min(len(data) - at, chance.choice((1, 16, 512, 4096)))
    return data[:at] + bytes(long) + data[at + long :]


def swap(data: bytes, chance: random.Random) -> bytes:
    """Two stretches change places."""
    first, second = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    long = min(chance.randint(1, 256), second - first, len(data) - second)
    one, other = data[first : first + long], data[second : second + long]
    return data[:first] + other + data[first + long : second] + one + data[second + long :]


def nothing(data: bytes, chance: random.Random) -> bytes:
    """An empty file."""
    return b""


def noise(data: bytes, chance: random.Random) -> bytes:
    """A file of random bytes, at times with the first ones of its format."""
    return data[: chance.choice((0, 4, 8, 64))] + chance.randbytes(chance.randint(1, 2048))


def word(data: bytes, chance: random.Random) -> bytes:
    """A character that means something to a reader of text."""
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(WORDS) * chance.choice((1, 2, 1000)) + data[at:]


def length(data: bytes, chance: random.Random) -> bytes:
    """Four or eight bytes that may be a length or an offset, as a number at a limit."""
    width = chance.choice((4, 8))
    if len(data) < width:
        return data
    at = chance.randrange(len(data) - width + 1) // 4 * 4
    return data[:at] + (chance.choice(LENGTHS)).to_bytes(width, chance.choice(("little", "big"))) + data[at + width :]


def parquet_footer(data: bytes, chance: random.Random) -> bytes:
    """What describes row groups and columns: flipped bits, or a length of its own that does not hold."""
    if len(data) < 12:
        return data
    long = int.from_bytes(data[-8:-4], "little")
    start = max(4, len(data) - 8 - long)
    if chance.random() < 0.2:
        return data[:-8] + chance.choice(LENGTHS).to_bytes(4, "little") + data[-4:]
    damage = chance.choice((flip, blank, swap, length))
    footer = damage(data[start:-8], chance)
    return data[:start] + footer + len(footer).to_bytes(4, "little") + data[-4:]


def parquet_pages(data: bytes, chance: random.Random) -> bytes:
    """What lies before the footer: page headers and values; the footer holds."""
    start = max(4, len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
    pages = chance.choice((flip, blank, length))(data[4:start], chance)
    return data[:4] + pages + data[start:]


def arrow_message(data: bytes, chance: random.Random) -> bytes:
    """The description of a schema or batch: it stands behind a mark and its length."""
    marks = [at for at in range(0, len(data) - 8, 8) if data[at : at + 4] == b"\xff\xff\xff\xff"]
    if not marks:
        return flip(data, chance)
    at = chance.choice(marks)
    long = int.from_bytes(data[at + 4 : at + 8], "little")
    inner = chance.choice((flip, length))(data[at + 8 : at + 8 + long], chance)
    return data[: at + 8] + inner + data[at + 8 + long :]


def tar_header(data: bytes, chance: random.Random) -> bytes:
    """One member's header: its name, size or kind; the checksum is right again."""
    headers = [at for at in range(0, len(data) - 512, 512) if data[at + 257 : at + 262] == b"ustar"]
    if not headers:
        return flip(data, chance)
    at = chance.choice(headers)
    header = bytearray(data[at : at + 512])
    start, width = chance.choice(((0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (345, 155)))
    kinds = (b"\x80" + b"\xff" * (width - 1), b"7" * width, bytes(width), b"../" * 60, b"\xff" * width, b"-1")
    header[start : start + width] = chance.choice(kinds)[:width].ljust(width, b"\0")
    if start == 156:
        header[156] = chance.choice(b"0123456789gxLKSV")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return data[:at] + bytes(header) + data[at + 512 :]


def tar_member(data: bytes, chance: random.Random) -> bytes:
    """The tar written again with one member of another content, or of another name."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as old:
            members = [(one, old.extractfile(one).read() if one.isfile() else b"") for one in old.getmembers()]
    except (tarfile.TarError, EOFError, OSError, AttributeError):
        return flip(data, chance)
    out, chosen = io.BytesIO(), chance.randrange(max(1, len(members)))
    with tarfile.open(fileobj=out, mode="w") as new:
        for place, (member, content) in enumerate(members):
            if place == chosen:
                content = chance.choice((cut, flip, word, nothing, repeat))(content, chance)
                member.name = chance.choice((member.name, "/" + member.name, "a/../" + member.name, ".jpg", "é\n.txt"))
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return out.getvalue()


def text_cell(data: bytes, chance: random.Random) -> bytes:
    """One line, where a cell is opened, closed, doubled, emptied or too much."""
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    cells = lines[at].split(b",")
    which = chance.randrange(len(cells))
    kinds = (b'"' + cells[which], b'"' + cells[which] + b'"x', cells[which] + b"," + cells[which], b"", b'""', b"\0")
    cells[which] = chance.choice(kinds)
    lines[at] = b",".join(cells)
    return b"\n".join(lines)


def json_value(data: bytes, chance: random.Random) -> bytes:
    """One value of a JSON text, or of one of its lines, is of another kind, missing, deep, or out of range."""
    lines = data.split(b"\n")
    at = chance.choice([place for place, line in enumerate(lines) if line.strip()] or [0])
    for begin, end in ((0, len(lines)), (at, at + 1)):
        try:
            value = json.loads(b"\n".join(lines[begin:end]))
        except (ValueError, RecursionError):
            continue
        changed = json.dumps(_other(value, chance)).encode()
        return b"\n".join([*lines[:begin], changed, *lines[end:]])
    return word(data, chance)


def _other(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(list(value))
        if chance.random() < 0.2:
            return {key: item for key, item in value.items() if key != name}
        return {**value, name: _other(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        place = chance.randrange(len(value))
        return [*value[:place], _other(value[place], chance), *value[place + 1 :]]
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    return chance.choice((*NUMBERS, None, True, "", "\x1b[2Jx", "x" * 10_000, [], {}, [[]], {"": {}}, deep))


def parquet_said(data: bytes, chance: random.Random) -> bytes:
    """What one of our tables says of where it comes from: a value of another kind, in a footer that holds."""
    start = max(4, len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
    footer = data[start:-8]
    at = footer.find(b"ncaudit\x18")
    if at < 0:
        return flip(data, chance)
    at += len(b"ncaudit\x18")
    long, begin = _varint(footer, at)
    changed = chance.choice((json_value, json_value, deep_json, word))(footer[begin : begin + long], chance)
    footer = footer[:at] + _as_varint(len(changed)) + changed + footer[begin + long :]
    return data[:start] + footer + len(footer).to_bytes(4, "little") + data[-4:]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def stored_member(data: bytes, chance: random.Random) -> bytes:
    """An archive of unpacked members, one of them changed, with right checksums."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = [(name, old.read(name)) for name in old.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return flip(data, chance)
    out, chosen = io.BytesIO(), chance.choice((0, chance.randrange(max(1, len(members)))))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for place, (name, content) in enumerate(members):
            if place == chosen:
                content = chance.choice((flip, cut, flip, remove, swap, nothing))(content, chance)
            new.writestr(name, content)
    return out.getvalue()


def deep_json(data: bytes, chance: random.Random) -> bytes:
    """Brackets that a reader may follow until its stack ends."""
    depth = chance.choice((100, 5_000, 100_000))
    return chance.choice((b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth))


def npy_header(data: bytes, chance: random.Random) -> bytes:
    """The shape, the type or the order of an array."""
    if data[:6] != b"\x93NUMPY":
        return flip(data, chance)
    shapes = ("(5, 4)", "(1000000000000, 4)", "(-1, 4)", "()", "(5,)", "(2, 2, 2, 2, 2)", "(10**9,)", "(0, 4)")
    types = ("'<f2'", "'|O'", "'<f8'", "'<i1'", "'<U9'", "'<M8[s]'", "[('a', '<f4')]", "__import__('os')", "'<f2' * 9")
    fields = (chance.choice(types), chance.choice(("False", "True", "2")), chance.choice(shapes))
    text = "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}\n".format(*fields).encode()
    long = struct.pack("<H", chance.choice((len(text), len(text), len(text), 0, 65535)))
    return data[:8] + long + text + data[10 + int.from_bytes(data[8:10], "little") :]


def zip_member(data: bytes, chance: random.Random) -> bytes:
    """An archive whose arrays are called or filled differently."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = [(name, old.read(name)) for name in old.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return flip(data, chance)
    out, chosen = io.BytesIO(), chance.randrange(max(1, len(members)))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for place, (name, content) in enumerate(members):
            if place == chosen:
                content = chance.choice((npy_header, cut, flip, nothing))(content, chance)
                name = chance.choice((name, name, "../" + name, "x", name + "\n"))
            new.writestr(name, content)
    return out.getvalue()


def safetensors_header(data: bytes, chance: random.Random) -> bytes:
    """The description of the tensors, or its length."""
    long = int.from_bytes(data[:8], "little")
    if len(data) < 8 or long > len(data) or chance.random() < 0.2:
        return chance.choice((0, 1, 2**40, 2**63)).to_bytes(8, "little") + data[8:]
    header = json_value(data[8 : 8 + long], chance)
    return len(header).to_bytes(8, "little") + header + data[8 + long :]


ANY: tuple[Mutator, ...] = (flip, cut, behead, insert, repeat, remove, blank, swap, nothing, noise, word, length)
OF_FORMAT: dict[str, tuple[Mutator, ...]] = {
    ".parquet": (parquet_footer, parquet_pages, parquet_said),
    ".arrow": (arrow_message,),
    ".tar": (tar_header, tar_member),
    ".csv": (text_cell,),
    ".jsonl": (json_value, deep_json),
    ".json": (json_value, deep_json),
    ".npy": (npy_header,),
    ".npz": (zip_member,),
    ".safetensors": (safetensors_header,),
    ".pt": (stored_member,),
}
BY_NAME = {one.__name__: one for one in (whole, *ANY, *(each for some in OF_FORMAT.values() for each in some))}


def of(suffix: str) -> tuple[Mutator, ...]:
    """What may be done to a file that is called so: what its format knows as often as everything else."""
    known = OF_FORMAT.get(suffix, ())
    return ANY + known * (len(ANY) // len(known) if known else 0)
