"""Forms with files: whatever fields and bytes there are come out as they went in, and what is none is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.console.multipart import MOST_PARTS, parts_of

TYPE = "multipart/form-data; boundary=AaB03x"
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters='"\r\n', exclude_categories=("Cs", "Cc")),
    min_size=1,
    max_size=8,
)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12).map(str.strip)


def form(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> bytes:
    body = b""
    for name, value in fields.items():
        body += f'--AaB03x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, (own, content) in files.items():
        head = f'content-disposition:form-data; name="{name}"; filename="{own}"\r\nContent-Type: text/csv'
        body += f"--AaB03x\r\n{head}\r\n\r\n".encode() + content + b"\r\n"
    return body + b"--AaB03x--\r\n"


@given(
    st.dictionaries(NAMES, VALUES, max_size=5),
    st.dictionaries(
        NAMES,
        st.tuples(NAMES, st.binary(max_size=60).filter(lambda data: b"--AaB03x" not in data)),
        max_size=3,
    ),
)
def test_what_was_sent_is_read(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> None:
    told = parts_of(TYPE, form(fields, files))
    if not fields and not files:
        assert told is None or (told.fields, told.files) == ({}, {})
        return
    assert told is not None
    assert (told.fields, told.files) == (fields, files)


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_is_none(body: bytes) -> None:
    for content in (body, b"--AaB03x\r\n" + body + b"\r\n--AaB03x--"):
        told = parts_of(TYPE, content)
        assert told is None or len(told.fields) + len(told.files) <= 2


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--AaB03x--", b"--AaB03x\r\n\r\n--AaB03x", form({"a": "b"}, {})[:-8], b'--AaB03x\r\nContent-Disposition: form-data; name="a"\r\n--AaB03x--',
        b'--AaB03x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--AaB03x--', form({str(n): "" for n in range(MOST_PARTS + 2)}, {}),
    ],
)  # fmt: skip
def test_what_is_no_such_form(body: bytes) -> None:
    told = parts_of(TYPE, body)
    assert told is None or (told.fields, told.files) == ({}, {})
    assert parts_of("multipart/form-data", form({"a": "b"}, {})) is None


def test_a_choice_of_no_file_is_none() -> None:
    told = parts_of('multipart/form-data; boundary="AaB03x"', form({"a": " b "}, {"bill": ("", b"")}))
    assert told is not None
    assert (told.fields, told.files) == ({"a": "b"}, {})
