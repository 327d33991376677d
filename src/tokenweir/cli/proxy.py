"""Which HTTP proxy an upstream is reached by: its setting, or HTTPS_PROXY, HTTP_PROXY and NO_PROXY."""

import base64
import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from tokenweir.core.errors import SettingsError

Proxy = tuple[str, int, str]  # host, port, the Proxy-Authorization header's value or ""


def proxy_for(scheme: str, host: str, setting: str | None, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy to reach `host` by, or None. Raises SettingsError for one that is no address."""
    if setting is not None:
        return parse_proxy(setting, "proxy") if setting else None
    if is_loopback(host) or _is_excepted(host, _variable(environ, "NO_PROXY")):
        return None
    name = f"{scheme.upper()}_PROXY"
    found = _variable(environ, name) or _variable(environ, "ALL_PROXY")
    return parse_proxy(found, name) if found else None


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name.lower(), "") or environ.get(name, "")


def parse_proxy(text: str, name: str) -> Proxy:
    """A proxy from `http://user:password@host:port`; errors never show the password."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = parts.port or 8080
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port:
        raise SettingsError(
            f"{name} must be an HTTP proxy such as http://host:3128 (SOCKS and HTTPS are not)"
        )
    if parts.username is None:
        return parts.hostname, port, ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return parts.hostname, port, "Basic " + base64.b64encode(pair).decode()


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine; such calls go through no proxy."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excepted(host: str, no_proxy: str) -> bool:
    host = host.lower()
    for part in no_proxy.lower().split(","):
        name = part.strip().lstrip(".").partition(":")[0]
        if name == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
    return False
