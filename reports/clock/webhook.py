"""News sent to a webhook, from a process of its own: whatever the other side does, it ends when its time is up.

The time-outs of sockets are for single operations, and a look-up of a name has none at all; a process can be ended.
"""

from __future__ import annotations

import base64
import logging
import multiprocessing
import signal
import urllib.request
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from urllib.parse import unquote_to_bytes

from reports.errors import ReportUsageError
from store.objects.public_names import server_name, without_secrets

_SOCKET_SECONDS = 30.0
_LONGEST_REASON = 300


def check_address(address: str) -> None:
    """Raise ReportUsageError for what is not an address that news can be sent to."""
    from urllib3.exceptions import HTTPError
    from urllib3.util import parse_url

    try:
        url = parse_url(address)
    except (HTTPError, ValueError):
        url = None
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise ReportUsageError(f"--webhook is {server_name(address)!r}; it is an http:// or https:// address")


def send(address: str, body: bytes, wait: Callable[[BaseProcess], bool]) -> str | None:
    """POST a JSON document; None, or in one sentence why it was not received.

    `wait` waits for the process that sends, and returns False where it is to be given up.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_post, args=(sender, address, body), daemon=True)
    name = server_name(address)
    try:
        process.start()
        sender.close()
        if not wait(process):
            process.kill()
            process.join()
            return f"{name} did not answer in time"
        return receiver.recv() if receiver.poll() else f"{name}: the process that sends ended by itself"
    except (OSError, EOFError) as error:
        return f"{name}: {getattr(error, 'strerror', None) or error}"
    finally:
        receiver.close()


def _post(answer: Connection, address: str, body: bytes) -> None:
    """The body of the process. Deaf to the signals that end the schedule, which ends it itself."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()  # urllib3 logs the paths of answers that it cannot read
    answer.send(post(address, body))


def post(address: str, body: bytes) -> str | None:
    """POST a JSON document from this process; None, or in one sentence why it was not received."""
    try:
        return _refusal(address, body)
    except Exception as error:
        return f"{server_name(address)}: {_reason(error, address)}"


def _refusal(address: str, body: bytes) -> str | None:
    """Send it; why it was refused, or None. Nothing of the answer is read but its head."""
    import urllib3

    url = urllib3.util.parse_url(address)
    headers = {"Content-Type": "application/json", "User-Agent": "interpunct"}
    if url.auth:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote_to_bytes(url.auth)).decode()
    proxy = urllib.request.getproxies().get(url.scheme or "")
    direct = not proxy or bool(urllib.request.proxy_bypass(url.host or ""))
    pool = urllib3.PoolManager() if direct or proxy is None else urllib3.ProxyManager(proxy)
    response = pool.request(
        "POST",
        url._replace(auth=None, fragment=None).url,
        body=body,
        headers=headers,
        timeout=_SOCKET_SECONDS,
        retries=False,
        redirect=False,
        preload_content=False,
    )
    response.close()
    if 200 <= response.status < 300:
        return None
    if 300 <= response.status < 400:
        return f"{server_name(address)} answered {response.status}, a redirect; name the address that it leads to"
    return f"{server_name(address)} answered {response.status}"


def _reason(error: Exception, address: str) -> str:
    """What happened, without the path, which for a webhook is a secret."""
    import urllib3

    path = urllib3.util.parse_url(address).path or ""
    text = without_secrets(" ".join(str(error).split()), address)
    return (text.replace(path, "...") if len(path) > 1 else text)[:_LONGEST_REASON] or type(error).__name__
