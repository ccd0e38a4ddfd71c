import pytest
import torch

from ncaudit.core import device
from ncaudit.errors import NcauditError

CPU = torch.device("cpu")


def test_auto_is_the_gpu_where_there_is_one_and_never_mps(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.pick_device().type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.pick_device().type == "cpu"
    assert device.pick_device("mps").type == "mps"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", "", "tpu"])
def test_an_unknown_device_is_refused_with_the_known_names(name):
    with pytest.raises(NcauditError) as error:
        device.pick_device(name)
    assert "cuda" in error.value.fix


@pytest.mark.parametrize("name", ["cuda", "mps", "cuda:7"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(NcauditError, match=name):
        device.pick_device(name)


def test_an_asked_for_precision_is_given_and_an_unknown_one_refused():
    assert device.pick_precision(CPU, "bfloat16") == torch.bfloat16
    assert device.pick_precision(CPU, "float32") == torch.float32
    with pytest.raises(NcauditError, match="float8"):
        device.pick_precision(CPU, "float8")


@pytest.mark.parametrize(
    ("half_seconds", "chosen"), [(0.5, torch.bfloat16), (0.9, torch.float32), (1.7, torch.float32)]
)
def test_auto_is_bfloat16_only_where_it_is_measured_to_gain(monkeypatch, half_seconds, chosen):
    monkeypatch.setattr(device, "_native_halves", lambda: (torch.bfloat16,))
    monkeypatch.setattr(device, "_seconds", lambda left, right: 1.0 if left.dtype == torch.float32 else half_seconds)
    device._fastest_cpu_product.cache_clear()
    assert device.pick_precision(CPU) == chosen
    device._fastest_cpu_product.cache_clear()


def test_a_cpu_without_native_halves_is_not_timed(monkeypatch):
    monkeypatch.setattr(device, "_native_halves", lambda: ())
    monkeypatch.setattr(device, "_seconds", lambda left, right: pytest.fail("timed"))
    device._fastest_cpu_product.cache_clear()
    assert device.pick_precision(CPU) == device.matmul_dtype(CPU) == torch.float32
    device._fastest_cpu_product.cache_clear()
