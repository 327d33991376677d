"""Values that fit a form of msgspec: what a client could say that has read the OpenAPI document."""

import functools
import operator
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as mi

MOMENTS = st.sampled_from(
    [
        "2026-11-25T08:00:00Z",
        "2026-11-25T08:00:00.000001+08:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59.999999-12:00",
    ]
)


def fitting(form: type, words: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """JSON values that decode as `form`; `words` are what texts often say."""
    return _of(mi.type_info(form), words)


def _of(kind: mi.Type, words: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    match kind:
        case mi.Metadata(type=inner):
            return _of(inner, words)
        case mi.StructType(fields=fields):
            must = {f.encode_name: _of(f.type, words) for f in fields if f.required}
            may = {f.encode_name: _of(f.type, words) for f in fields if not f.required}
            return st.fixed_dictionaries(must, optional=may)
        case mi.UnionType(types=types):
            told = [_of(t, words) for t in types]
            return functools.reduce(operator.or_, told)
        case mi.StrType(pattern=str(pattern)) if "(?!" not in pattern:
            return st.from_regex(pattern, fullmatch=True)
        case mi.StrType(min_length=least, max_length=most):
            plain = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)
            return (words | plain).filter(lambda text: (least or 0) <= len(text) <= (most or 400))
        case mi.IntType(ge=least, le=most):
            return st.integers(least, most) | st.integers(
                0 if least is None else max(least, 0), 5 if most is None else max(most // 1000, least or 0)
            )
        case mi.LiteralType(values=values):
            return st.sampled_from(values)
        case mi.EnumType(cls=cls):
            return st.sampled_from([member.value for member in cls])
        case mi.VarTupleType(item_type=item, min_length=least):
            return st.lists(_of(item, words), min_size=least or 0, max_size=3)
        case _:
            return _SIMPLE[type(kind)]


_SIMPLE: dict[type, st.SearchStrategy[Any]] = {
    mi.NoneType: st.none(),
    mi.BoolType: st.booleans(),
    mi.DateTimeType: MOMENTS,
    mi.DateType: st.sampled_from(["2026-11-25", "0001-01-01", "9999-12-31"]),
}


def query_texts(said: dict[str, Any]) -> dict[str, str]:
    """A fitting query as texts; what is null is left out."""
    shown = {name: value for name, value in said.items() if value is not None}
    return {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in shown.items()
    }
