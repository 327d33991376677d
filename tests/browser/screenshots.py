"""`./dev screenshots [NAME …]`: a picture of every page of the console for the docs, from the seeded ledger, on a clock that stands still."""

import sys
import tempfile
from pathlib import Path

from chromium import PROGRAM, Visitor, chromium
from conftest import paths_of
from console_host import application, serving
from console_seed import NOW_US, SECRETS
from seeded_console import SETTINGS, seed

from tokenweir.console.pages import PAGES
from tokenweir.core.clock import FakeClock

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
#: Besides the light, English picture of every page: name -> page, or its path; language, and what the browser is like.
MORE = {
    "overview-dark": ("overview", "en", {"color_scheme": "dark"}),
    "overview-phone": ("overview", "en", {"viewport": {"width": 390, "height": 844}}),
    "overview-zh": ("overview", "zh", {}),
    "upstreams-dark": ("upstreams", "en", {"color_scheme": "dark"}),
    "limits-phone": ("limits", "en", {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}),
    "call-zh": ("call", "zh", {}),
    "run-live": ("/runs/run-000-kimi", "en", {}),
    "setting": ("/settings?name=server.strict", "en", {}),
}


def pictures() -> dict[str, tuple[str, str, dict[str, object]]]:
    """Name -> page, language and browser of each."""
    return {page.name: (page.name, "en", {}) for page in PAGES if page.name != "call_cost"} | MORE


def main() -> None:
    if not PROGRAM.exists():
        raise SystemExit(f"there is no {PROGRAM}: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, chromium() as browser:
        data = Path(directory)
        seed(data)
        paths = paths_of(data)
        with serving(application(data, FakeClock(NOW_US), SETTINGS)) as address:
            stranger = Visitor(browser, address)
            stranger.open("/sign-in")
            save(stranger, "sign-in")
            wanted = set(sys.argv[1:]) or pictures().keys()
            for name, (page, language, context) in pictures().items():
                if name not in wanted:
                    continue
                visitor = Visitor(browser, address, language, **context)
                visitor.sign_in(SECRETS["owner"])
                visitor.open(paths.get(page, page))
                visitor.page.wait_for_selector("[data-now]:not([hidden])", state="attached")
                save(visitor, name)
                visitor.close()


def save(visitor: Visitor, name: str) -> None:
    """Without what moves: a cursor that blinks."""
    path = IMAGES / f"console-{name}.png"
    visitor.page.screenshot(path=path, caret="hide", animations="disabled")
    print(f"{path.relative_to(IMAGES.parents[1])}  {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
