"""Every figure of `weir reconcile` as CSV."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenweir.billing.reconcile import Result
from tokenweir.billing.reconcile_answer import rows_to_see
from tokenweir.core.errors import BillError
from tokenweir.core.money import format_pico

COLUMNS = (
    "section",
    "outcome",
    "period",
    "model",
    "item",
    "request",
    "measure",
    "ours",
    "theirs",
    "difference",
    "rows",
)


def write_csv(target: Path, results: Sequence[Result]) -> None:
    """Write every figure of every cell to `target`, which is replaced only once it is complete. Raises BillError."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(row for result in results for row in _csv_rows(result))
        unfinished.replace(target)
    except OSError as error:
        raise BillError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _csv_rows(result: Result) -> Iterator[tuple[str, ...]]:
    for outcome, group in result.groups.items():
        for cell in group.cells:
            what = (
                result.section.name,
                outcome.value,
                cell.period.label,
                cell.model,
                cell.item,
                cell.request,
            )
            rows = " ".join(str(line) for _, line in rows_to_see(cell))
            for figure in cell.figures():
                values = (figure.ours, figure.theirs, figure.theirs_more)
                shown = (format_pico(v) if figure.is_money else str(v) for v in values)
                yield (
                    *what,
                    figure.measure if figure.is_money else f"tokens {figure.measure}".strip(),
                    *shown,
                    rows,
                )
