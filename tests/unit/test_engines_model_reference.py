"""References to model files: their form, and what hubs answer."""

import pytest

from tokenweir.core.errors import EngineError
from tokenweir.engines.model_reference import (
    HUBS,
    Reference,
    content_url,
    endpoint_of,
    listing_url,
    parse_reference,
    read_listing,
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("hf:a/b", Reference(hub="hf", repo="a/b", path="", revision="main")),
        ("hf:a/b@v1.0", Reference(hub="hf", repo="a/b", path="", revision="v1.0")),
        ("hf:a/b/sub/x.gguf", Reference(hub="hf", repo="a/b", path="sub/x.gguf", revision="main")),
        ("hf:a/b/x.GGUF@refs/pr/1", Reference(hub="hf", repo="a/b", path="x.GGUF", revision="refs/pr/1")),
        ("modelscope:a/b.c_d", Reference(hub="modelscope", repo="a/b.c_d", path="", revision="master")),
    ],
)
def test_references(text: str, wanted: Reference) -> None:
    assert parse_reference(text) == wanted


@pytest.mark.parametrize("text", ["model.gguf", "/a/hf:b/c.gguf", "C:/a/b.gguf", "~/x.gguf", "hf/a/b.gguf"])
def test_paths_are_no_references(text: str) -> None:
    assert parse_reference(text) is None


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:a", "hf:a/", "hf:/b", "hf:../b", "hf:a/..", "hf:a/b@", "hf:a/b/c.bin", "hf:a/b/../c.gguf",
     "hf:a/b//c.gguf", "hf:a/b/c\n.gguf", "hf:a b/c"],
)  # fmt: skip
def test_wrong_references_are_refused_with_the_form(text: str) -> None:
    with pytest.raises(EngineError, match=r"the form is hf:OWNER/REPO"):
        parse_reference(text)


def test_addresses_quote_what_they_must() -> None:
    hf = Reference(hub="hf", repo="a/b", path="", revision="refs/pr/1")
    assert listing_url(hf, "https://h") == "https://h/api/models/a/b/tree/refs%2Fpr%2F1?recursive=true"
    assert content_url(hf, "https://h", "x y/z.gguf") == "https://h/a/b/resolve/refs%2Fpr%2F1/x%20y/z.gguf"
    ms = Reference(hub="modelscope", repo="a/b", path="", revision="master")
    assert content_url(ms, "https://h", "x/y&z.gguf").endswith(
        "/repo?Revision=master&FilePath=x%2Fy%26z.gguf"
    )


def test_the_environment_names_mirrors() -> None:
    assert endpoint_of(HUBS["hf"], {}) == "https://huggingface.co"
    assert endpoint_of(HUBS["hf"], {"HF_ENDPOINT": "https://hf-mirror.com/"}) == "https://hf-mirror.com"
    with pytest.raises(EngineError, match="MODELSCOPE_ENDPOINT must be an address"):
        endpoint_of(HUBS["modelscope"], {"MODELSCOPE_ENDPOINT": "modelscope.cn"})


@pytest.mark.parametrize("hub", ["hf", "modelscope"])
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"7", b'{"Code": 404, "Message": "gone"}', b'{"error": "x"}']
)
def test_answers_that_are_no_listing_are_refused(hub: str, body: bytes) -> None:
    with pytest.raises(EngineError):
        read_listing(hub, body)


def test_paths_that_leave_the_folder_are_passed_over() -> None:
    body = b'[{"type":"file","path":"../x.gguf","size":1},{"type":"file","path":"/x.gguf","size":1},'
    body += b'{"type":"file","path":"x.gguf","size":1,"lfs":{"oid":"not a hash"}}]'
    (file,) = read_listing("hf", body)
    assert (file.path, file.sha256) == ("x.gguf", "")
