"""A server of files on this machine that does as it should, or as servers do."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FAULTS = (
    "refuses", "stalls", "stalls half-way", "answers 500", "has no such file", "is truncated", "is changed",
    "breaks off",
)  # fmt: skip


class Server:
    """Serves the files of a folder by name at `url`; `faults` are what it does with the first requests, in turn, and
    `fault` with all others. `seconds` is what it takes to send a file."""

    def __init__(
        self, folder: Path, fault: str | None = None, faults: tuple[str, ...] = (), seconds: float = 0
    ) -> None:
        self.requests: list[str] = []
        server, first = self, iter(faults)

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                name = Path(self.path).name
                server.requests.append(name)
                content = (folder / name).read_bytes()
                sent = len(content)
                match now := next(first, fault):
                    case "answers 500":
                        self.send_error(500)
                        return
                    case "has no such file":
                        self.send_error(404)
                        return
                    case "stalls":
                        server.ended.wait(60)
                        return
                    case "is truncated":  # with a length that agrees
                        sent = len(content) // 2
                        content = content[:sent]
                    case "is changed":
                        content = content[:-1] + bytes([content[-1] ^ 1])
                    case "breaks off" | "stalls half-way":
                        sent = len(content) // 2
                self.send(content, sent)
                if now == "stalls half-way":
                    server.ended.wait(60)

            def send(self, content: bytes, count: int) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                for start in range(0, count, 2**17):
                    self.wfile.write(content[start : min(start + 2**17, count)])
                    time.sleep(seconds * 2**17 / len(content))
                self.wfile.flush()

        self.ended = threading.Event()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        if fault == "refuses":
            self.close()

    def close(self) -> None:
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        if not self.ended.is_set():
            self.close()
