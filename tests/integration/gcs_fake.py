"""The part of Google Cloud Storage's JSON interface that a store of OUT uses.

The fakes that can be installed ignore `ifGenerationMatch` on uploads; so does this one
where it is asked to.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from stores import Server

PAGE = 100


class GcsFake(Server):
    """A server of one bucket.

    Attributes:
      keeps_conditions: whether `ifGenerationMatch` counts.
      objects: (generation, content) by name.
    """

    def __init__(self) -> None:
        self.keeps_conditions = True
        self.objects: dict[str, tuple[int, bytes]] = {}
        self._count = 0
        self._lock = threading.Lock()
        super().__init__(self._handler())

    def _write(self, name: str, expected: str | None, data: bytes | None) -> int | None:
        """The new generation; None where another one was expected."""
        with self._lock:
            generation, _ = self.objects.get(name, (0, b""))
            if self.keeps_conditions and expected not in (None, str(generation)):
                return None
            self._count += 1
            if data is None:
                self.objects.pop(name, None)
            else:
                self.objects[name] = self._count, data
            return self._count

    def _handler(fake) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def _asked(self) -> tuple[str, dict[str, str]]:
                parts = urlsplit(self.path)
                query = {k: v[0] for k, v in parse_qs(parts.query).items()}
                return unquote(parts.path.partition("/o/")[2]), query

            def do_GET(self) -> None:
                name, query = self._asked()
                if not name:
                    self._list(query)
                    return
                generation, data = fake.objects.get(name, (0, b""))
                if not generation:
                    self._answer(404)
                elif query.get("ifGenerationNotMatch") == str(generation):
                    self._answer(304)
                else:
                    self._answer(200, data, generation)

            def _list(self, query: dict[str, str]) -> None:
                low, high = query.get("startOffset", ""), query.get("endOffset")
                names = sorted(
                    name
                    for name in fake.objects
                    if name.startswith(query.get("prefix", ""))
                    and name >= max(low, query.get("pageToken", ""))
                    and (not high or name < high)
                )
                page = {"items": [{"name": name} for name in names[:PAGE]]}
                if len(names) > PAGE:
                    page["nextPageToken"] = names[PAGE]
                self._answer(200, json.dumps(page).encode())

            def do_POST(self) -> None:
                _, query = self._asked()
                data = self.rfile.read(int(self.headers.get("content-length", 0)))
                name, expected = query["name"], query.get("ifGenerationMatch")
                made = fake._write(name, expected, data)
                if made is None:
                    self._answer(412)
                else:
                    told = {"name": name, "generation": str(made)}
                    self._answer(200, json.dumps(told).encode())

            def do_DELETE(self) -> None:
                name, query = self._asked()
                made = fake._write(name, query.get("ifGenerationMatch"), None)
                self._answer(412 if made is None else 204)

            def _answer(
                self, status: int, data: bytes = b"", generation: int = 0
            ) -> None:
                self.send_response(status)
                if generation:
                    self.send_header("x-goog-generation", str(generation))
                if status not in (204, 304):
                    self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler
