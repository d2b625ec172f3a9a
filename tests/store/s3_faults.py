"""A WSGI layer in front of an S3 server that answers some requests with faults, and counts them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

ERROR_BODY = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>"


@dataclass
class Fault:
    """What happens to the next `times` requests of `method` whose path contains `path`.

    `code` is answered with HTTP `status`; where `applied`, the request reaches the server first and only its answer
    is lost. `delay_s` is waited before the answer, for a client that gives up earlier.
    """

    method: str
    path: str = ""
    status: int = 500
    code: str = "InternalError"
    times: int = 1
    applied: bool = False
    delay_s: float = 0.0
    held_until: threading.Event | None = None
    """The request is held until this is set, and then reaches the server as if nothing had been."""
    seen: int = 0


@dataclass
class FaultyServer:
    """The layer; `faults` are tried in order, and a request meets at most one."""

    application: Callable[..., Iterable[bytes]]
    endpoint: str = ""
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def inject(self, *faults: Fault) -> None:
        self.faults.extend(faults)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path))
        fault = self._next(method, path)
        if fault is None:
            return self.application(environ, start_response)
        if fault.held_until is not None:
            fault.held_until.wait(60)
            return self.application(environ, start_response)
        if fault.applied:
            list(self.application(environ, lambda status, headers, *_: None))
        time.sleep(fault.delay_s)
        start_response(f"{fault.status} Injected", [("Content-Type", "application/xml")])
        return [ERROR_BODY.format(code=fault.code).encode()]

    def _next(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > fault.seen and fault.method == method and fault.path in path:
                fault.seen += 1
                return fault
        return None
