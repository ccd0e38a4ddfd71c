"""Files of this machine get to a store in one step: one request, or an upload in parts that is completed last.

Knows stores and bytes; nothing of what files hold. What is not complete nobody can see; where a process was killed in
the middle of an upload in parts, a note in scratch tells its number, and whoever claims the place again aborts it.
"""

import json
import mimetypes
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import time
from typing import Any

from ncaudit.errors import NcauditError, Unwritable
from ncaudit.shards.places import listings, scratch
from ncaudit.shards.places.listings import Entry, entry_of
from ncaudit.shards.places.partials import ABANDONED_S, is_alive, partials_among
from ncaudit.stores import (
    KEYS,
    MEMORY,
    S3,
    again,
    elsewhere,
    first_line,
    info,
    is_elsewhere,
    is_passing,
    lacks_credentials,
    protocol_of,
    system,
)

MIB = 1 << 20
ONE_REQUEST = 64 * MIB  # what is larger goes in parts
PART = 32 * MIB
MOST_PARTS = 10_000
AT_ONCE = 4  # parts under way, all of them in memory


def send(local: str, path: str) -> Entry:
    """A file of this machine is at this address when this returns, and nothing of it before.

    Raises Unwritable, in two lines, when the store does not take it, tried again for as long as only the moment is
    against it.
    """
    files, inner = system(path)
    try:
        if protocol_of(path) in S3:
            entry = _to_s3(files, local, path, inner)
        elif path.startswith(MEMORY):
            with open(local, "rb") as file:
                files.pipe_file(inner, file.read())
            entry = entry_of(info(path))
        else:
            again(path, lambda: files.put_file(local, inner))
            entry = entry_of(info(path, fresh=True))
    except NcauditError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise refused(path, error) from error
    listings.wrote(path, entry)
    return entry


def send_first(path: str, data: bytes) -> None:
    """A small file is at this address when this returns: this one, or another process's that was quicker.

    Of stores that know no such condition nothing is asked: whoever calls looks afterwards what is there.
    """
    files, inner = system(path)
    if protocol_of(path) not in S3:
        return
    bucket, key, _ = files.split_path(inner)
    try:
        where = {"Bucket": bucket, "Key": key, "IfNoneMatch": "*"}
        etag = again(path, lambda: files.call_s3("put_object", Body=data, **where))["ETag"]
    except Exception:  # it is there, it may not be put, or the condition is not known: whoever looks next tells which
        return
    files.invalidate_cache(inner)
    listings.wrote(path, entry_of({"size": len(data), "ETag": etag, "type": "file"}))


def remove(path: str) -> None:
    """Take a file away, if it is there."""
    files, inner = system(path)
    try:
        again(path, lambda: files.rm_file(inner))
    except FileNotFoundError:
        pass
    except Exception as error:  # as in `send`
        raise refused(path, error) from error
    listings.removed(path)


def require_writable(path: str, told: str) -> None:
    """Raises NcauditError, with the path `told`, where this file cannot be put, as far as shows without putting it."""
    files, inner = system(path)
    if protocol_of(path) not in S3:
        return  # the record, which comes before all else, will tell
    bucket, key, _ = files.split_path(inner)
    if not bucket or not key:
        raise NcauditError(f"{told} names no bucket", fix="write it as s3://BUCKET/FOLDER")
    where = {"Bucket": bucket, "Key": key}
    try:
        begun = again(path, lambda: files.call_s3("create_multipart_upload", **where))
    except Exception as error:  # as in `send`
        raise refused(told, error) from error
    with suppress(Exception):  # it holds nothing
        files.call_s3("abort_multipart_upload", **where, UploadId=begun["UploadId"])


def sweep(place: str, *, alone: bool = False) -> None:
    """Abort what nobody will complete below this folder, or of this file `alone`: uploads of processes of this machine
    that are gone, those of others when they are a day old.
    """
    if protocol_of(place) not in S3:
        return
    files, inner = system(place)
    bucket, key, _ = files.split_path(inner)
    start = key if alone or not key else f"{key}/"
    dead = dict(_noted(f"s3://{bucket}/{start}"))
    for upload in _unfinished(files, bucket, start):
        if upload["UploadId"] in dead or time() - upload["Initiated"].timestamp() > ABANDONED_S:
            with suppress(Exception):  # another run was quicker, or it is not ours to abort: it harms nobody
                files.call_s3("abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for note in dead.values():
        with suppress(OSError):
            os.remove(note)


def _noted(start: str) -> Iterator[tuple[str, str]]:
    """The uploads to addresses that begin so which dead processes of this machine had begun, each with its note."""
    place = scratch.folder()
    for partial in partials_among(place, os.listdir(place)):
        if not scratch.is_note(partial.path) or partial.pid is None or is_alive(partial):
            continue
        with suppress(OSError, ValueError, KeyError, TypeError):
            with open(partial.path, "rb") as file:
                told = json.load(file)
            if str(told["path"]).replace("s3a://", "s3://").startswith(start):
                yield str(told["upload"]), partial.path


def _unfinished(files: Any, bucket: str, start: str) -> Iterator[Mapping[str, Any]]:
    more: dict[str, str] = {}
    with suppress(Exception):  # stores that have no uploads in parts, or do not let us see them: there is nothing to do
        while True:
            found = files.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=start, **more)
            yield from (one for one in found.get("Uploads") or () if one["Key"].startswith(start))
            if not found.get("IsTruncated"):
                return
            more = {"KeyMarker": found["NextKeyMarker"], "UploadIdMarker": found["NextUploadIdMarker"]}


def _to_s3(files: Any, local: str, path: str, inner: str) -> Entry:
    bucket, key, _ = files.split_path(inner)
    size, kind = os.path.getsize(local), mimetypes.guess_type(path)[0]
    where = {"Bucket": bucket, "Key": key, **({"ContentType": kind} if kind else {})}
    if size > ONE_REQUEST:
        etag = _in_parts(files, local, path, size, where)
    else:
        with open(local, "rb") as file:
            body = file.read()
        etag = again(path, lambda: files.call_s3("put_object", Body=body, **where))["ETag"]
    files.invalidate_cache(inner)
    return entry_of({"size": size, "ETag": etag, "type": "file"})


def _in_parts(files: Any, local: str, path: str, size: int, where: dict[str, str]) -> str:
    """The ETag of the whole. What was begun is aborted unless it is completed."""
    begun = again(path, lambda: files.call_s3("create_multipart_upload", **where))
    upload = {"Bucket": where["Bucket"], "Key": where["Key"], "UploadId": begun["UploadId"]}
    with scratch.note(json.dumps({"path": path, "upload": begun["UploadId"]}).encode()):
        try:
            parts = _parts(files, local, path, size, upload)
            return str(_completed(files, path, upload, parts, size))
        except BaseException:
            with suppress(Exception):  # what is left of it is swept when the place is claimed again
                files.call_s3("abort_multipart_upload", **upload)
            raise


def _parts(files: Any, local: str, path: str, size: int, upload: Mapping[str, str]) -> list[dict[str, Any]]:
    step = max(PART, -(-size // MOST_PARTS))

    def part(number: int) -> dict[str, Any]:
        with open(local, "rb") as file:
            file.seek(number * step)
            body = file.read(step)
        made = again(path, lambda: files.call_s3("upload_part", PartNumber=number + 1, Body=body, **upload))
        return {"PartNumber": number + 1, "ETag": made["ETag"]}

    with ThreadPoolExecutor(AT_ONCE) as pool:
        under_way = [pool.submit(part, number) for number in range(-(-size // step))]
        try:
            return [one.result() for one in under_way]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _completed(files: Any, path: str, upload: Mapping[str, str], parts: list[dict[str, Any]], size: int) -> Any:
    told = {"MultipartUpload": {"Parts": parts}}
    try:
        return again(path, lambda: files.call_s3("complete_multipart_upload", **upload, **told))["ETag"]
    except FileNotFoundError:  # the answer to a try before this one was lost
        there = info(path, fresh=True)
        if int(there["size"]) != size or not str(there.get("ETag", "")).strip('"').endswith(f"-{len(parts)}"):
            raise
        return there["ETag"]


def refused(path: str, error: Exception) -> NcauditError:
    """Why a store does not take a file, in two lines."""
    what = f"{path} cannot be written: {first_line(error)}"
    if is_elsewhere(error):
        return Unwritable(elsewhere(path).message, fix=elsewhere(path).fix)
    if lacks_credentials(error):
        return Unwritable(f"{path} cannot be written: there are no credentials for it", fix=KEYS)
    if isinstance(error, PermissionError):
        fix = "get the right to put objects there (s3:PutObject) or other credentials and rerun, or give another place"
        return Unwritable(what, fix=fix)
    if isinstance(error, FileNotFoundError):
        return Unwritable(what, fix="make the bucket, or check its name")
    if is_passing(error):
        return Unwritable(what, fix="check the address and the network, then rerun: what is finished is kept")
    return Unwritable(what, fix="check the address, your credentials and --storage-option")
