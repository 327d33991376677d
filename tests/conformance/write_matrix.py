"""Writes the expected files of the matrix as the code has them now: `python tests/conformance/write_matrix.py [SCENARIO…]`.

What it writes is a proposal: read every line of the difference before it is committed.
"""

import json
import sys

from matrix_case import CELLS


def main(wanted: list[str]) -> None:
    for cell in CELLS:
        if cell.as_it_is or (wanted and cell.scenario.name not in wanted):
            continue
        script = cell.script
        if cell.way == "plain":
            body = json.loads(cell.sent(cell.passage()))
            cell.sent_file.write_text(json.dumps(body, ensure_ascii=False, indent=2) + "\n", "utf-8")
        if cell.way == "plain" and script.end != "whole":
            continue  # nothing of the upstream's reaches the client
        _, said, _ = cell.answer([script.body])
        if cell.way == "plain" or script.status != 200:
            said = (json.dumps(json.loads(said), ensure_ascii=False, indent=2) + "\n").encode()
        cell.client_file.write_bytes(said)


if __name__ == "__main__":
    main(sys.argv[1:])
