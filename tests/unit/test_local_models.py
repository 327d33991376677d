"""Which models the local engine serves, and why not."""

from pathlib import Path

import msgspec
import pytest

from tokenweir.cli.local import Local, local_models
from tokenweir.cli.settings import LocalSettings
from tokenweir.core.errors import EngineError, SettingsError
from tokenweir.engines.local import installed
from tokenweir.engines.local_plan import check_model, memory_available


def nothing(_reference: str) -> Path | None:
    return None


def test_switched_off_there_is_none(tmp_path: Path) -> None:
    assert local_models(LocalSettings(enabled=False, models=("a",)), tmp_path, nothing).specs == ()


@pytest.mark.skipif(installed(), reason="the wheel is installed")
def test_without_the_wheel_named_models_are_an_error_and_ours_is_a_note(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="pip install"):
        local_models(LocalSettings(models=("a.gguf",)), tmp_path, nothing)
    assert "pip install" in local_models(LocalSettings(), tmp_path, nothing).notes[0]


@pytest.mark.skipif(not installed(), reason="the wheel is not installed")
def test_each_model_has_a_socket_and_a_key_of_its_own(tmp_path: Path) -> None:
    settings = LocalSettings(models=("one.gguf", "two.gguf", "hf:a/absent"))
    local = local_models(settings, tmp_path, lambda text: Path(text) if text.endswith("gguf") else None)
    named = local.specs[-2:]
    assert [spec.name for spec in named] == ["one", "two"]
    assert named[0].unix_socket == str(tmp_path / "local-one.sock")
    assert named[0].api_key != named[1].api_key
    assert named[0].api_key not in repr(local)
    assert local.notes[-1] == "the model hf:a/absent is not on this machine; `weir up` downloads it"
    assert len(local.specs) == 3
    with pytest.raises(SettingsError, match="two files would be called 'one'"):
        local_models(LocalSettings(models=("one.gguf", "x/one.gguf")), tmp_path, Path)
    with pytest.raises(SettingsError, match="too long a name"):
        local_models(settings, tmp_path / ("d" * 100), Path)


@pytest.mark.skipif(not installed(), reason="the wheel is not installed")
def test_what_is_announced_is_what_runs_and_memory_is_promised_once(tmp_path: Path) -> None:
    (spec,) = local_models(LocalSettings(), tmp_path, nothing).specs
    with pytest.raises(EngineError, match="are free"):
        check_model(spec, promised_bytes=memory_available())
    checked = Local((spec,)).check()
    assert checked.specs[0].context == 2_048
    assert checked.engines()[0].offers[0].context == 2_048
    both = Local((spec, msgspec.structs.replace(spec, name="named", parallel=10**6)))
    with pytest.raises(EngineError, match="the model named needs"):
        both.check()
