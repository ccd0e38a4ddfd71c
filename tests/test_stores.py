"""Addresses, options of stores, and what passes by itself."""

import errno
import json
import os

import pytest

from ncaudit import stores
from ncaudit.errors import NcauditError, UsageError


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch):
    monkeypatch.setenv(stores.OPTIONS, "")
    monkeypatch.setattr(stores, "sleep", lambda seconds: None)


def test_options_are_words_and_what_they_say():
    words = ["anon=true", "default_block_size=5", "endpoint_url=http://x?a=b", "client_kwargs.region_name=eu-west-1"]
    stores.give_options(words)
    told = {"anon": True, "default_block_size": 5, "endpoint_url": "http://x?a=b"}
    assert stores.options() == {**told, "client_kwargs": {"region_name": "eu-west-1"}}
    stores.give_options(['config_kwargs={"signature_version": "s3v4"}', "anon=false"])
    assert stores.options()["config_kwargs"] == {"signature_version": "s3v4"}
    assert stores.options()["anon"] is False


def test_other_processes_get_what_names_a_store_and_who_asks_and_nothing_else(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("AWS_", "HF_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv(stores.OPTIONS)
    assert not set(stores.environment()) - {name for name in os.environ if not name.startswith("AWS_")}
    given = {"AWS_ENDPOINT_URL": "http://x", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "k"}
    for name, value in {**given, "AWS_EXECUTION_ENV": "here", "AWS_CA_BUNDLE": str(tmp_path / "gone")}.items():
        monkeypatch.setenv(name, value)
    told = stores.environment()
    assert {name: told[name] for name in given} == given
    assert told["AWS_SESSION_TOKEN"] is None  # of another key
    assert "AWS_EXECUTION_ENV" not in told
    for name in ("AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.setenv(name, "of that machine")
    stores.take_environment(told)
    assert "AWS_SESSION_TOKEN" not in os.environ
    assert os.environ["AWS_CA_BUNDLE"] == "of that machine"  # the driver's is no file here


@pytest.mark.parametrize("name", ["key", "secret", "token", "client_kwargs.aws_session_token", "sas_token"])
def test_a_secret_is_text_whatever_it_looks_like(name):
    stores.give_options([f"{name}=12345678"])
    assert '"12345678"' in os.environ[stores.OPTIONS]


@pytest.mark.parametrize(("word", "what"), [("s3cr3t", "takes key=value"), ("=s3cr3t", "takes key=value")])
def test_what_is_no_option_is_refused_and_not_repeated(word, what):
    with pytest.raises(UsageError, match=what) as told:
        stores.give_options([word])
    assert "s3cr3t" not in f"{told.value.message} {told.value.fix}"


def test_one_option_is_no_value_and_a_group_at_once():
    with pytest.raises(UsageError, match="reaches into client_kwargs"):
        stores.give_options(["client_kwargs=1", "client_kwargs.region_name=x"])


def test_an_environment_that_is_no_json_is_told(monkeypatch):
    for text in ("{", "[1]"):
        monkeypatch.setenv(stores.OPTIONS, text)
        with pytest.raises(UsageError, match="is no JSON object"):
            stores.options()


def test_an_option_that_the_store_would_drop_is_refused(monkeypatch):
    pytest.importorskip("s3fs")
    monkeypatch.setenv(stores.OPTIONS, json.dumps({"endpont_url": "http://x"}))
    with pytest.raises(UsageError, match="s3:// has no such option") as told:
        stores.system("s3://bucket/x")
    assert "endpoint_url" in told.value.fix
    assert stores.system("memory://x")[1] == "/x"  # which takes any


def test_an_address_without_a_bucket_is_told():
    pytest.importorskip("s3fs")
    with pytest.raises(NcauditError, match="s3:// names no bucket"):
        stores.system("s3://")


def test_what_passes_is_tried_again_and_what_does_not_is_raised_at_once():
    tries = []

    def action(error, times):
        tries.append(1)
        if len(tries) <= times:
            raise error
        return "done"

    for error in (ConnectionResetError(), TimeoutError(), OSError(errno.EBUSY, "SlowDown")):
        tries.clear()
        assert stores.again("s3://b/x", lambda error=error: action(error, 3)) == "done"
        assert len(tries) == 4
    tries.clear()
    with pytest.raises(PermissionError):
        stores.again("s3://b/x", lambda: action(PermissionError("denied"), 9))
    assert len(tries) == 1
    tries.clear()
    with pytest.raises(ConnectionResetError):
        stores.again("s3://b/x", lambda: action(ConnectionResetError(), 99))
    assert len(tries) == len(stores.WAITS_S) + 1  # it is given up


def test_a_place_that_may_not_be_looked_at_is_told_in_two_lines(monkeypatch):
    def deny(path):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(stores, "info", deny)
    with pytest.raises(NcauditError, match="s3://b/x cannot be looked at: Access Denied") as told:
        stores.kind("s3://b/x")
    assert "s3:ListBucket" in told.value.fix
