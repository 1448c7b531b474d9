"""Run a command as if what write_web.py made were the web: a proxy on this machine answers for all hosts.

    python web.py out/web img2dataset --url_list out/plan ...

The proxy listens at a free port of 127.0.0.1, and the command finds it in `http_proxy`. It answers as servers do: some
pictures are gone, late, cut off, moved or another thing than a picture. Hosts that answers.jsonl does not have are
answered with 502, and nothing is passed on to the real web. Exit status: that of the command.
"""
import http.server
import os
import signal
import subprocess
import sys
import threading

import orjson


class Proxy(http.server.ThreadingHTTPServer):
    """Answers from a folder of write_web.py."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.is_over = threading.Event()
        with open(os.path.join(folder, "answers.jsonl"), "rb") as lines:
            self.answers = {answer["url"]: answer for answer in map(orjson.loads, lines)}

    def handle_error(self, request, client_address):
        """Nothing: clients go when they have waited long enough."""


class Handler(http.server.BaseHTTPRequestHandler):

    def log_message(self, *args):
        pass

    def do_GET(self):
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.reply(502, b"no such host or path\n", {"Content-Type": "text/plain"})
            return
        if "delay" in answer and self.server.is_over.wait(answer["delay"]):
            return
        data = b""
        if answer["file"]:
            with open(os.path.join(self.server.folder, "pictures", answer["file"]), "rb") as file:
                data = file.read()
        headers = {"Content-Type": answer["type"], **answer.get("headers", {})}
        self.reply(answer["status"], data, headers, answer.get("length"))

    def reply(self, status, data, headers, length=None):
        """length: what Content-Length says, where that is more than there is"""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length or len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def main():
    folder, *command = sys.argv[1:]
    with Proxy(folder) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{proxy.server_port}"
        # a user's own exceptions and proxies would lead past it
        environment = {key: value for key, value in os.environ.items() if key.lower() not in ("no_proxy", "all_proxy")}
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        process = subprocess.Popen(command, env={**environment, "http_proxy": here, "https_proxy": here})
        try:
            status = process.wait()
        except BaseException:           # Ctrl-C reaches the command too, a signal to this process alone does not
            process.terminate()
            process.wait()
            raise
        finally:
            proxy.is_over.set()
            proxy.shutdown()
    sys.exit(128 - status if status < 0 else status)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
