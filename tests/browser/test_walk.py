"""A new user's way, on a gateway that was just started: from an empty ledger to the first call that is seen."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import PATIENCE_MS, Visitor
from playwright.sync_api import expect
from weir_process import Home, free_port, simulated, wait_for


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, str, str]]:
    """Its home, its address as the greeting tells it, and the first key."""
    directory = tmp_path_factory.mktemp("walk")
    port = free_port()
    script = '{"output_tokens": 120, "interval_s": 0.02, "cached_tokens": 5}'
    with simulated("--script", script) as upstream:
        settings = (
            f'[server]\nport = {port}\nworkers = 2\n[local]\nenabled = false\n[[upstream]]\nname = "sim"\nkind = "vllm"\n'
            f'url = "{upstream}"\n[[model]]\nname = "kimi-k2"\ndeployments = ["sim/slow"]\n'
            'price = { input = 4.0, output = 16.0, cache_read = 1.0, currency = "CNY" }\n'
        )
        (directory / "weir.toml").write_text(settings)
        home = Home(directory, WEIR_DATA=str(directory / "data"))
        with home.up(port):
            greeting = home.greeting()
            address = re.search(r"console\s+(http://\S+)/console", greeting)
            key = re.search(r"sk-weir-\w+", greeting)
            assert address and key, greeting
            yield home, address[1], key[0]


def test_from_an_empty_ledger_to_the_first_call(browser: Any, gateway: tuple[Home, str, str]) -> None:
    _, address, key = gateway
    visitor = Visitor(browser, address)
    page = visitor.page
    wait_for(lambda: _is_up(page, address), "the console")
    visitor.complaints.clear()
    page.fill("input[name=password]", key)
    page.click("text=Sign in >> nth=-1")
    command = page.inner_text(".empty .command code")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page.click(".empty [data-copy]")
    says(page, ".empty [data-copy]", "Copied")
    assert page.evaluate("navigator.clipboard.readText()") == command
    done = subprocess.run(
        ["bash", "-c", command.replace("YOUR_KEY", key)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["choices"]
    page.wait_for_selector("#live-overview table a[href*='/console/calls/']")  # by itself
    page.click("#live-overview table a[href*='/console/calls/']")
    page.wait_for_selector("h1 code")
    assert "4 CNY / M" in page.inner_text("main")
    assert visitor.complaints == []
    visitor.close()


def test_a_model_is_tried_and_its_cost_comes_as_it_runs(browser: Any, gateway: tuple[Home, str, str]) -> None:
    _, address, key = gateway
    visitor = Visitor(browser, address)
    visitor.sign_in(key)
    visitor.open("/try")
    page = visitor.page
    page.click("[data-send]")
    says(page, "[data-meter]", r"about .* CNY")
    page.wait_for_selector("[data-meter] a")
    assert re.search(
        r"\d+ tokens in, \d+ out, reported by the upstream; 0\.\d+ CNY", page.inner_text("[data-meter]")
    )
    assert len(page.inner_text(".said:last-child")) > 2
    page.click("[data-meter] a")
    page.wait_for_selector("h1 code")
    assert "console, try it" in page.inner_text("main")
    assert visitor.complaints == []
    visitor.close()


def test_what_is_under_way_is_seen_on_every_page(browser: Any, gateway: tuple[Home, str, str]) -> None:
    _, address, key = gateway
    visitor = Visitor(browser, address)
    visitor.sign_in(key)
    visitor.open("/limits")
    page = visitor.page
    page.wait_for_selector("[data-now]:not([hidden])")
    other = visitor.context.new_page()
    other.goto(f"{address}/console/try")
    other.fill("textarea", "Tell me a long story. " * 30)
    other.fill("[name=most]", "400")
    other.click("[data-send]")
    says(page, "[data-now-calls]", r"^1$")
    says(page, "[data-now-tokens]", r"^[1-9]")
    other.click("[data-stop]")
    says(page, "[data-now-calls]", r"^0$")
    visitor.close()


def test_a_drained_upstream_gets_no_call_until_it_is_restored(
    browser: Any, gateway: tuple[Home, str, str]
) -> None:
    home, address, key = gateway
    visitor = Visitor(browser, address)
    visitor.sign_in(key)
    visitor.open("/upstreams")
    page = visitor.page
    page.fill("[name=note]", "new driver")
    page.click("button:has-text('Drain')")
    page.wait_for_selector("text=Restore sim")
    refused = home.run("chat", "hello", "--model", "kimi-k2")
    assert refused.returncode != 0
    assert "drained" in refused.stderr
    assert "new driver" in home.good("upstreams", "list")
    assert home.good("upstreams", "restore", "sim") == "sim gets calls again.\n"
    assert home.good("chat", "hello", "--model", "kimi-k2")
    assert home.run("upstreams", "drain", "nobody").returncode == 2
    visitor.close()


def test_a_password_is_set_on_the_command_line(browser: Any, gateway: tuple[Home, str, str]) -> None:
    home, address, _ = gateway
    assert home.run("console", "password", "first", text="short\n").returncode == 2
    assert "Sign in to the console as first" in home.good(
        "console", "password", "first", text="correct horse battery\n"
    )
    visitor = Visitor(browser, address)
    visitor.open("/sign-in")
    visitor.page.fill("input[name=name]", "first")
    visitor.page.fill("input[name=password]", "correct horse battery")
    visitor.page.press("input[name=password]", "Enter")
    visitor.page.wait_for_selector("main#content")
    home.good("console", "remove-password", "first")
    visitor.page.reload()
    visitor.page.wait_for_url("**/sign-in**")
    visitor.close()


def test_a_stream_of_events_does_not_hold_up_the_end(browser: Any, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "weir.toml").write_text(
        f"[server]\nport = {port}\ndrain_timeout_s = 60\n[local]\nenabled = false\n"
    )
    home = Home(tmp_path, WEIR_DATA=str(tmp_path / "data"))
    with home.up(port) as process:
        key = re.search(r"sk-weir-\w+", home.greeting())
        assert key
        visitor = Visitor(browser, f"http://127.0.0.1:{port}")
        wait_for(lambda: _is_up(visitor.page, visitor.address), "the console")
        visitor.sign_in(key[0])
        visitor.page.wait_for_selector("[data-now]:not([hidden])")
        process.terminate()
        process.wait(20)  # far less than the drain may take
        assert process.returncode == 0
        visitor.close()


def says(page: Any, selector: str, pattern: str) -> None:
    """Wait until it does. Without a script in the page: its policy takes none of a text."""
    expect(page.locator(selector)).to_have_text(re.compile(pattern), timeout=PATIENCE_MS)


def _is_up(page: Any, address: str) -> bool:
    """The control process is started half a second after the rest."""
    return bool(page.goto(f"{address}/console/sign-in").status == 200)
