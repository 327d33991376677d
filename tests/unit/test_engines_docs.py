"""The page on engines says what the code does."""

import re
from pathlib import Path

from tokenweir.engines.discovery import USUAL, WITHIN_S
from tokenweir.engines.download import SPARE_BYTES
from tokenweir.engines.local_plan import LEAST_CONTEXT, OVERHEAD_BYTES
from tokenweir.engines.model_reference import HUBS
from tokenweir.engines.simulated_script import NAMED

PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text()
MIB = 1024 * 1024


def test_every_named_script_is_listed_and_no_other() -> None:
    listed = PAGE.partition("`NAMED` in `simulated_script.py`:")[2].partition(".\n")[0]
    assert set(re.findall(r"`([a-z0-9-]+)`", listed)) == set(NAMED)


def test_the_table_of_ports_is_the_codes() -> None:
    rows = re.findall(r"^\| [^|]+ \| (\d+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert [int(port) for port, _ in rows] == [usual.port for usual in USUAL]
    for (_, known_by), usual in zip(rows, USUAL, strict=True):
        assert (usual.mark_path or "its port") in known_by


def test_figures_and_variables() -> None:
    assert f"for at most {WITHIN_S} s" in PAGE
    assert f"{OVERHEAD_BYTES // MIB} MiB, and for each token" in PAGE
    assert f"at least to {LEAST_CONTEXT:,} tokens" in PAGE
    assert f"{SPARE_BYTES // MIB} MiB more than the file needs" in PAGE
    for hub in HUBS.values():
        assert f"`{hub.endpoint_variable}`" in PAGE
        assert f"`{hub.token_variable}`" in PAGE
