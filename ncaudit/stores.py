"""Stores of other machines (s3://, gs://, hf://, memory://) as fsspec reaches them: one door, and one way of failing.

Knows addresses, options of file systems and their errors; nothing of what lies there. The options stand in this
process's environment, so that the processes which it starts have them, and no command line or record does.
"""

import errno
import json
import logging
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from time import sleep
from typing import Any, TypeVar

from ncaudit.errors import NcauditError, UsageError
from ncaudit.nearest import one_of

ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
LOCAL, HUB, MEMORY = "file://", "hf://", "memory://"
LOG_IN = "for a private or gated dataset log in with `hf auth login`, or set HF_TOKEN"
ABSENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)  # said of a file, not of a place
PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "az": "adlfs",
            "abfs": "adlfs", "http": "aiohttp", "https": "aiohttp"}  # fmt: skip
S3 = ("s3", "s3a")
STRICT = (*S3, "gs", "gcs")  # whose options are known by name: others hand on what they do not know
OPTIONS = "NCAUDIT_STORAGE_OPTIONS"  # JSON, in the environment
SECRET = re.compile(r"key|secret|token|password|credential|sas", re.IGNORECASE)
PLAIN = re.compile(r"true|false|null|-?\d+|\{.*\}|\[.*\]", re.DOTALL)
# Three tries of botocore's are within five of s3fs's, and those within ours: a minute or so, then it is given up.
PATIENCE = {"retries": {"mode": "standard", "max_attempts": 3}, "connect_timeout": 10, "read_timeout": 60}
WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
PASSING = {
    errno.EBUSY,
    errno.ECONNRESET,
    errno.ECONNREFUSED,
    errno.EPIPE,
    errno.ETIMEDOUT,
    getattr(errno, "EREMOTEIO", -1),
}
PASSING_KINDS = {
    *("HTTPClientError", "ConnectionClosedError", "EndpointConnectionError", "ReadTimeoutError", "ConnectTimeoutError"),
    *("FSTimeoutError", "IncompleteRead", "ClientPayloadError", "ServerDisconnectedError", "ResponseParserError"),
}
ELSEWHERE = (
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraint",
    "301",
)
T = TypeVar("T")


def is_remote(path: str) -> bool:
    """Whether a path is an address of another place than this machine's files.

    >>> is_remote("s3://bucket/00000.parquet"), is_remote("file:///data/00000.parquet"), is_remote("data")
    (True, False, False)
    """
    return ADDRESS.match(path) is not None and not path.startswith(LOCAL)


def protocol_of(path: str) -> str:
    """What stands before the `://` of an address."""
    return path.split("://", 1)[0]


def give_options(words: Iterable[str]) -> None:
    """Options of file systems, each as key=value; a key with dots reaches into one: client_kwargs.region_name=…

    Raises UsageError for a word that is none; its value is never told.
    """
    given = options()
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise UsageError(
                "--storage-option takes key=value", fix="write it as --storage-option endpoint_url=https://…"
            )
        *outer, last = name.strip().split(".")
        inside = given
        for each in outer:
            inside = inside.setdefault(each, {})
            if not isinstance(inside, dict):
                raise UsageError(
                    f"--storage-option {name} reaches into {each}, which has a value", fix="give one of them"
                )
        inside[last] = _meant(last, value)
    if given:
        os.environ[OPTIONS] = json.dumps(given)


def _meant(name: str, value: str) -> Any:
    """true, numbers and JSON are what they say; a secret is text, whatever it looks like."""
    if SECRET.search(name) or not PLAIN.fullmatch(value.strip()):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


# What names a store and who asks it. Those of credentials go together: a key of one and a token of another are none.
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
NAMING = re.compile(
    r"NCAUDIT_STORAGE_OPTIONS|AWS_(DEFAULT_)?REGION|AWS_ENDPOINT_URL(_S3)?|AWS_REQUEST_CHECKSUM_CALCULATION|"
    r"AWS_RESPONSE_CHECKSUM_VALIDATION|FSSPEC_.+|HF_TOKEN|HF_ENDPOINT|GOOGLE_CLOUD_PROJECT|AZURE_STORAGE_.+"
)
NAMING_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "GOOGLE_APPLICATION_CREDENTIALS")


def environment() -> dict[str, str | None]:
    """What another process needs in its environment to open the same places as this one; None: what must not be there.

    It holds secrets: it is for that process's memory alone.
    """
    told: dict[str, str | None] = {name: value for name, value in os.environ.items() if NAMING.fullmatch(name)}
    told |= {name: os.environ[name] for name in NAMING_FILES if name in os.environ}
    if any(name in os.environ for name in CREDENTIALS):
        told |= {name: os.environ.get(name) for name in CREDENTIALS}
    return told


def take_environment(told: Mapping[str, str | None]) -> None:
    """Become a process that `environment` was made for. A file that is not on this machine is not named here."""
    for name, value in told.items():
        if value is None:
            os.environ.pop(name, None)
        elif name not in NAMING_FILES or os.path.exists(value):
            os.environ[name] = value


def options() -> dict[str, Any]:
    """What has been given. Raises UsageError where somebody has put something else into the environment."""
    try:
        told = json.loads(os.environ.get(OPTIONS) or "{}")
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise UsageError(f"{OPTIONS} is no JSON object", fix='write it as {"endpoint_url": "https://…"}, or unset it')
    return told


def system(path: str) -> tuple[Any, str]:
    """The file system of an address, and what the address is called there. Raises NcauditError where there is none."""
    from fsspec.core import url_to_fs  # only who reads from afar pays for it

    protocol = protocol_of(path)
    if path.startswith(HUB):
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it prints every retry, over the progress
    given = options()
    try:
        if given:
            _require_known(protocol, given)
        asked = _with_patience(given) if protocol in S3 else given
        found, inner = url_to_fs(path, **asked)
    except ImportError as error:
        raise _lacking(path, protocol, error) from error
    except ValueError as error:
        places = "give a local path, or s3://, gs:// or hf://"
        raise NcauditError(f"{path}: {protocol}:// is no kind of place that is known", fix=places) from error
    except NcauditError:
        raise
    except Exception as error:  # as in `reaching`
        raise unreachable(path, error) from error
    if protocol in STRICT and not inner.strip("/"):  # s3fs would speak of "all of S3", others of nothing
        raise NcauditError(f"{path} names no bucket", fix=f"write {protocol}://BUCKET/PATH")
    return found, inner


def _lacking(path: str, protocol: str, error: ImportError) -> NcauditError:
    package = PACKAGES.get(protocol)
    told = f"pip install {package}" if package else str(error).splitlines()[0]
    return NcauditError(f"{path}: {protocol}:// needs another package", fix=told)


def _with_patience(given: Mapping[str, Any]) -> dict[str, Any]:
    told = given.get("config_kwargs")
    return {**given, "config_kwargs": {**PATIENCE, **(told if isinstance(told, dict) else {})}}


def _require_known(protocol: str, given: Mapping[str, Any]) -> None:
    """Raises UsageError for an option that the file system would drop unsaid."""
    if protocol not in STRICT:
        return
    from fsspec import get_filesystem_class

    named = [
        name for name in signature(get_filesystem_class(protocol).__init__).parameters if name not in ("self", "kwargs")
    ]
    strange = [name for name in given if name not in named]
    if strange:
        raise UsageError(
            f"--storage-option {strange[0]}: {protocol}:// has no such option", fix=one_of(strange[0], named)
        )


def info(path: str, *, fresh: bool = False) -> dict[str, Any]:
    """Size and kind of what lies at an address. fresh: asked anew. Raises FileNotFoundError when nothing does."""
    found, inner = system(path)
    with reaching(path):
        if fresh:
            found.invalidate_cache(inner)
        return dict(found.info(inner))


def kind(path: str) -> str | None:
    """`file`, `directory`, or None where nothing is. Raises NcauditError where nobody may look."""
    try:
        return str(info(path)["type"])
    except FileNotFoundError:
        require_bucket(path)
        return None
    except PermissionError as error:
        raise denied(path, error) from error


def require_bucket(path: str) -> None:
    """Raises NcauditError where the bucket itself is missing: nothing that lies in it could be there."""
    protocol = protocol_of(path)
    if protocol not in S3:  # others do not tell it apart from a file that is missing
        return
    files, inner = system(path)
    bucket = inner.strip("/").partition("/")[0]
    try:
        with reaching(path):
            again(path, lambda: files.call_s3("head_bucket", Bucket=bucket))
    except FileNotFoundError as error:
        asked = options().get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL") or "Amazon S3"
        what = f"{path}: there is no bucket {bucket} at {asked}"
        raise NcauditError(what, fix=BUCKET) from error
    except (PermissionError, NcauditError):  # it is not ours to ask for: what is asked next tells why
        return


def denied(path: str, error: BaseException) -> NcauditError:
    """The error of a place that may not be looked at."""
    said = first_line(error)
    fix = "get the right to list and read there (s3:ListBucket, s3:GetObject), or give other credentials"
    return NcauditError(f"{path} cannot be looked at: {said}", fix=fix)


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return next((line for line in told.splitlines() if line.strip()), type(error).__name__)


def read(path: str, at_most: int | None = None) -> bytes:
    """A file as it is now. Raises OSError when there is none."""
    found, inner = system(path)
    with reaching(path):
        if at_most is not None and int(found.info(inner)["size"]) > at_most:
            return bytes(found.cat_file(inner, 0, at_most))
        return bytes(found.cat_file(inner))


def spelled(path: str, inner: str) -> str:
    """How the address of something that a file system names is written, beside `path`.

    >>> spelled("memory://pairs", "/pairs//A/./x"), spelled("s3://bucket/a", "bucket/a/b")
    ('memory://pairs/A/x', 's3://bucket/a/b')
    """
    plain = posixpath.normpath("/" + inner.split("://", 1)[-1]).lstrip("/")
    return f"{protocol_of(path)}://{plain}"


def again(path: str, action: Callable[[], T]) -> T:
    """What an action gives, tried a few times with longer and longer waits where only the moment is against it."""
    for wait in WAITS_S:
        try:
            return action()
        except Exception as error:  # every file system has errors of its own: see `reaching`
            if not is_passing(error):
                raise
        sleep(wait)
    return action()


def is_passing(error: BaseException) -> bool:
    """Whether a store may take later what it does not take now: it is busy, or the connection was lost."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__  # type: ignore[assignment]
    if any(isinstance(one, (ConnectionError, TimeoutError)) for one in chain):
        return True
    if any(kind.__name__ in PASSING_KINDS for one in chain for kind in type(one).__mro__):
        return True
    return any(isinstance(one, OSError) and one.errno in PASSING for one in chain)


@contextmanager
def reaching(path: str) -> Iterator[None]:
    """Errors of a file that is not there or is not ours to read pass, with its name; all others are the place's."""
    try:
        yield
    except NcauditError:
        raise
    except ABSENT as error:
        _name(error, path)
        raise
    except Exception as error:  # every file system has errors of its own: a time-out, a refused token, no such account
        raise unreachable(path, error) from error


def _name(error: OSError, path: str) -> None:
    """Say whose error it is, as those of the system do: file systems raise theirs with words alone."""
    if error.errno is None:
        error.strerror = first_line(error)
        error.errno = errno.EACCES if isinstance(error, PermissionError) else errno.ENOENT
    if error.filename is None:
        error.filename = path


def unreachable(path: str, error: Exception) -> NcauditError:
    """What a place says for itself, in two lines."""
    if is_elsewhere(error):
        return elsewhere(path)
    if lacks_credentials(error):
        return NcauditError(f"{path} cannot be reached: there are no credentials for it", fix=KEYS)
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if path.startswith(HUB):  # whose first line is the status alone
        reason, fix = " ".join(lines[:2]), f"check the address and the network; {LOG_IN}"
    else:
        reason, fix = lines[0], "check the address, the network and your credentials"
    return NcauditError(f"{path} cannot be reached: {reason}", fix=fix)


BUCKET = "check its name; another store is named by AWS_ENDPOINT_URL, or --storage-option endpoint_url=https://…"
KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a public bucket --storage-option anon=true"


def lacks_credentials(error: BaseException) -> bool:
    """Whether nothing on this machine says who asks."""
    return type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError")


def elsewhere(path: str) -> NcauditError:
    """The error of a bucket that another region has."""
    return NcauditError(
        f"{path}: the bucket lies in another region than the one that was asked",
        fix="set AWS_REGION to its own, or --storage-option client_kwargs.region_name=REGION",
    )


def is_elsewhere(error: BaseException) -> bool:
    """Whether a store says that another region of it has the bucket."""
    return _code(error) in ELSEWHERE


def _code(error: BaseException | None) -> str:
    """What S3 calls an error; "" for those of others."""
    while error is not None:
        answer = getattr(error, "response", None)
        if isinstance(answer, dict):
            return str(answer.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""
