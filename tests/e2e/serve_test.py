"""`gradus serve` as a client meets it: who is let in, what is answered, and that nothing is changed."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from host_case import make_stdlib

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
FULL = "GRADUS_FULL" in os.environ  # `make test-full`
NASTY = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "';DROP TABLE runs;--", "javascript:alert(1)",
         "{{7*7}}", "</title><svg onload=alert(1)>", "\\u2028\\u2029", "%00%0a", "ünï—☃"]


class Serve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.store = cls.dir / "runs" / "gradus.db"
        # A runner that only writes a store: no engine, no training.
        make_stdlib(cls.dir / "std", """
local host, stores = require "gradus.host", require "gradus.store"
local runner = {}
function runner.plan() return { "one" } end
-- Many curves at once: every batch touches a page of each, so the write-ahead log grows fast.
local function write_much(store)
  local run, keys = store:begin { name = "much" }, {}
  for i = 1, 2000 do keys[i] = run:key("k" .. i) end
  for step = 0, 299 do
    for i = 1, 2000 do run:log(keys[i], step, step) end
  end
  run:finish "finished"
  return "{}"
end
function runner.execute(options)
  local store = stores.open(options.store)
  if os.getenv "MUCH" then return write_much(store) end
  local names = host.json_decode(io.open("names.json"):read("*a"))
  for seed, name in ipairs(names) do
    local run = store:begin { name = name, seed = seed, config_hash = "c", params = { { key = "note", value = name }, { key = "lr", value = seed / 10 } } }
    local key = run:key "val/acc"
    run:event(0, "stage", name, host.json_encode { text = name })
    for step = 0, 99 do run:log(key, step, step * seed / 1000) end
    run:event(50, "decision", "advance", "{}")
    if seed == 1 then
      local file = io.open(run.folder .. "/left.bin", "w")
      file:write(("left\\0"):rep(1000))
      file:close()
      run:artifact("file", "left.bin", host.sha256(("left\\0"):rep(1000)), 5000)
    end
    run:finish "finished"
  end
  return "{}"
end
function runner.summarize() end
return runner
""")
        (cls.dir / "x.lua").write_text("")
        (cls.dir / "names.json").write_text(json.dumps(NASTY))
        cls.write(cls.store)
        cls.server, cls.url = cls.serve(cls.store)
        cls.port = int(cls.url.split(":")[2].split("/")[0])
        cls.token = cls.url.split("token=")[1]

    @classmethod
    def write(cls, store, wait=True, **env):
        made = subprocess.Popen([GRADUS, "run", "x.lua", "--stdlib", "std", "--store", str(store)], cwd=cls.dir, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, env={**os.environ, **env})
        cls.addClassCleanup(made.stderr.close)
        if wait:
            assert made.wait(timeout=60) == 0, made.stderr.read()
        return made

    @classmethod
    def serve(cls, store):
        server = subprocess.Popen([GRADUS, "serve", "--json", "--store", str(store)], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(server.stdout.close)
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.terminate)
        return server, json.loads(server.stdout.readline())["url"]

    def ask(self, path, method="GET", headers=None, token=True, host=None):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            return self.answer(connection, path, method, headers, token, host)

    def answer(self, connection, path, method, headers, token, host):
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host if host is not None else f"127.0.0.1:{self.port}")
        if token:
            connection.putheader("Cookie", f"gradus-{self.port}={self.token}")
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.body = answer.read()
        return answer

    def raw(self, data, wait=3):
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as sock:
            sock.sendall(data)
            out = b""
            try:
                while chunk := sock.recv(65536):
                    out += chunk
                    if len(out) > 1 << 20:
                        break
            except (TimeoutError, ConnectionResetError):
                pass
            return out

    def json(self, path):
        answer = self.ask(path)
        self.assertEqual(answer.status, 200, answer.body)
        return json.loads(answer.body)

    def test_token_has_128_bits_and_opens_the_page(self):
        self.assertRegex(self.token, "^[0-9a-f]{32}$")
        answer = self.ask(f"/?token={self.token}", token=False)
        self.assertEqual(answer.status, 200)
        cookie = answer.headers["Set-Cookie"]
        for part in ("HttpOnly", "SameSite=Strict", self.token):
            self.assertIn(part, cookie)
        self.assertEqual(self.ask("/api/runs", token=False, headers={"Authorization": f"Bearer {self.token}"}).status, 200)

    def test_without_the_token_nothing_is_told(self):
        for path in ("/", "/api/runs", "/app.js", "/d3.min.js", f"/?token={self.token[:-1]}0x", "/?token=", f"/api/runs?token={self.token}"):
            self.assertEqual(self.ask(path, token=False).status, 401, path)
        for cookie in ("", "gradus=1", f"gradus-{self.port}=", f"gradus-{self.port}={'0' * 32}", f"x={self.token}"):
            self.assertEqual(self.ask("/api/runs", token=False, headers={"Cookie": cookie}).status, 401, cookie)

    def test_what_is_refused_is_told_in_words(self):
        cookie = {"Cookie": f"gradus-{self.port}={self.token}"}
        for answer, status, said in ((self.ask("/", host="evil.com"), 403, "unknown host"), (self.ask("/", headers={"Origin": "null"}), 403, "unknown origin"),
                                     (self.ask("/", method="POST"), 405, "GET and HEAD only"),
                                     (self.ask("/api/runs", token=False), 401, "open the address that `gradus serve` printed")):
            self.assertEqual((answer.status, answer.body.decode(), answer.headers["Content-Type"]), (status, said + "\n", "text/plain; charset=utf-8"))
            self.assertEqual(int(answer.headers["Content-Length"]), len(answer.body))
            self.assertEqual(answer.headers["Allow"], "GET, HEAD" if status == 405 else None)
        for twice in (f"Origin: http://127.0.0.1:{self.port}\r\nOrigin: http://127.0.0.1:{self.port}\r\n", f"host: 127.0.0.1:{self.port}\r\n"):
            request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{twice}Cookie: {cookie['Cookie']}\r\nConnection: close\r\n\r\n"
            self.assertIn(b" 403 ", self.raw(request.encode()).split(b"\r\n")[0])
        star = self.raw(f"GET * HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nCookie: {cookie['Cookie']}\r\nConnection: close\r\n\r\n".encode())
        self.assertIn(b" 400 ", star.split(b"\r\n")[0])

    def test_whole_headers(self):
        headers = dict(self.ask("/").headers)
        for name in ("Date", "Content-Length"):
            headers.pop(name)
        self.assertEqual(headers, {
            "Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
                                       "form-action 'none'",
            "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store"})
        self.assertEqual(self.ask(f"/?token={self.token}", token=False).headers["Set-Cookie"],
                         f"gradus-{self.port}={self.token}; Path=/; HttpOnly; SameSite=Strict")
        self.assertEqual(self.ask(f"/?a=1&token={self.token}&b=", token=False).status, 200)
        self.assertIsNone(self.ask("/").headers["Set-Cookie"])

    def test_a_cookie_among_others(self):
        ours = f"gradus-{self.port}={self.token}"
        for cookie, status in ((ours, 200), (f"a=1; {ours}", 200), (f"a=1;{ours};b=2", 200), (f"{ours}; b=2", 200), (f";;  ;   {ours}", 200), (f"{ours} ; b=2", 401), (f"; {ours}", 200),
                               (f"{ours}x", 401), (f"x{ours}", 401), (f"a={ours}", 401), (f"gradus-{self.port}=; {ours}", 200), (ours[:-1], 401),
                               (f"gradus-{self.port}={'0' * 32}; {ours}", 200), (f"gradus-{self.port + 1}={self.token}", 401), ("", 401), (";", 401)):
            self.assertEqual(self.ask("/api/runs", token=False, headers={"Cookie": cookie}).status, status, cookie)
        for name, status in ((f"Bearer {self.token}", 200), (f"bearer {self.token}", 401), (f"Bearer  {self.token}", 401), (self.token, 401)):
            self.assertEqual(self.ask("/api/runs", token=False, headers={"Authorization": name}).status, status, name)

    def test_files_are_handed_out_to_be_kept(self):
        whole = b"left\0" * 1000
        answer = self.ask("/api/artifact?run=1&path=left.bin")
        self.assertEqual((answer.status, answer.body, answer.headers["Content-Disposition"]), (200, whole, "attachment"))
        self.assertEqual(answer.headers["Content-Length"], "5000")
        head = self.ask("/api/artifact?run=1&path=left.bin", method="HEAD")
        self.assertEqual((head.status, head.body, head.headers["Content-Length"]), (200, b"", "5000"))
        self.assertIsNone(self.ask("/").headers["Content-Disposition"])
        files = f"/proc/{self.server.pid}/fd"
        before = len(os.listdir(files))
        for _ in range(20):
            self.ask("/api/artifact?run=1&path=left.bin", method="HEAD")
            self.ask("/api/artifact?run=1&path=left.bin")
        self.assertLess(len(os.listdir(files)), before + 10, "files stay open")
        page = self.ask("/", method="HEAD")
        self.assertEqual(int(page.headers["Content-Length"]), len(self.ask("/").body))

    def test_long_headers(self):
        self.assertEqual(self.ask("/api/runs", headers={"X": "y" * 30000}).status, 200)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
            self.assertIn(self.ask("/api/runs", headers={"X": "y" * 34000}).status, (400, 413, 431))

    def test_what_is_printed_and_how_the_server_stands_back(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        server = subprocess.Popen([GRADUS, "serve", "--port", str(port), "--store", str(self.store)], stdout=subprocess.PIPE, text=True)
        try:
            self.assertRegex(server.stdout.readline(), rf"^http://127\.0\.0\.1:{port}/\?token=[0-9a-f]{{32}}\n$")
            self.assertEqual(server.stdout.readline(), f"{self.store}  (Ctrl-C ends it)\n")
            deadline = time.monotonic() + 10
            wanted = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
            while os.getpriority(os.PRIO_PROCESS, server.pid) != wanted and time.monotonic() < deadline:
                time.sleep(.01)
            self.assertEqual(os.getpriority(os.PRIO_PROCESS, server.pid), wanted, "the runs come first")
            soft, hard = next(line.split()[3:5] for line in pathlib.Path(f"/proc/{server.pid}/limits").read_text().splitlines() if "open files" in line)
            self.assertEqual(int(soft), min(65536, int(hard) if hard.isdigit() else 65536))
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()
        self.assertTrue(4747 <= self.port < 4797)
        told = subprocess.run([GRADUS, "serve", "--port", str(self.port), "--store", str(self.store)], capture_output=True, text=True, timeout=20)
        self.assertEqual((told.returncode, told.stderr, told.stdout), (74, f"gradus: serve: cannot listen on 127.0.0.1:{self.port}; expected a free port; got "
                                                                           "Address already in use\n", ""))

    def test_foreign_hosts(self):
        p = self.port
        for host in ("evil.com", f"evil.com:{p}", f"127.0.0.1.evil.com:{p}", "127.0.0.1", f"127.0.0.1:{p + 1}", f"127.0.0.1:{p}0",
                     f"localhost.:{p}", f"[::1]:{p}", f"0.0.0.0:{p}", f"127.1:{p}", "", f"127.0.0.1:{p}.evil.com", f"evil.com@127.0.0.1:{p}",
                     f"127.0.0.1:{p} evil.com", f"xlocalhost:{p}", "localhost", f"localhost:{p}.", f"127.0.0.1:0{p}", f"127.0.0.1:{p}/", f"127.0.0.1:{p}#",
                     f"127.0.0.1:{p}?", f"2130706433:{p}", f"0x7f000001:{p}", f"0177.0.0.1:{p}", f"127.0.0.2:{p}", f"[::ffff:127.0.0.1]:{p}",
                     f"http://127.0.0.1:{p}", f"127.0.0.1:{p},evil.com", f"evil.com,127.0.0.1:{p}", f"localhost.evil.com:{p}", f"127.0.0.1:-{p}", ":", f":{p}"):
            self.assertIn(self.ask("/api/runs", host=host).status, (400, 403), host)
        for host in (f"127.0.0.1:{p}", f"localhost:{p}", f"LOCALHOST:{p}"):
            self.assertEqual(self.ask("/api/runs", host=host).status, 200, host)
        two = self.raw(f"GET /api/runs HTTP/1.1\r\nHost: 127.0.0.1:{p}\r\nHost: evil.com\r\nCookie: gradus-{p}={self.token}\r\nConnection: close\r\n\r\n".encode())
        self.assertIn(b"403", two.split(b"\r\n")[0])
        none = self.raw(f"GET /api/runs HTTP/1.0\r\nCookie: gradus-{p}={self.token}\r\n\r\n".encode())
        self.assertIn(b"403", none.split(b"\r\n")[0])

    def test_a_token_in_the_referer_or_in_another_case_opens_nothing(self):
        for headers in ({"Referer": f"http://127.0.0.1:{self.port}/?token={self.token}"}, {"Authorization": f"Bearer {self.token.upper()}x"},
                        {"Authorization": f"Basic {self.token}"}, {"X-Token": self.token}, {"Cookie": f"GRADUS-{self.port}={self.token}"},
                        {"Authorization": "Bearer "}, {"Authorization": f"Bearer {self.token}{self.token}"}):
            self.assertEqual(self.ask("/api/runs", token=False, headers=headers).status, 401, headers)

    def test_foreign_origins(self):
        p = self.port
        for origin in ("http://evil.com", "null", f"https://127.0.0.1:{p}", "http://127.0.0.1", f"http://127.0.0.1:{p}.evil.com",
                       f"http://127.0.0.1:{p + 1}", f"http://evil.com:{p}", "file://", f"http://127.0.0.1:{p}/", f"http://127.0.0.1:{p}@evil.com",
                       f"http://localhost.evil.com:{p}", "http://[::1]", f"ws://127.0.0.1:{p}", "chrome-extension://abc", f"http://127.0.0.1:{p} http://evil.com"):
            self.assertEqual(self.ask("/api/runs", headers={"Origin": origin}).status, 403, origin)
        for origin in (f"http://127.0.0.1:{p}", f"http://localhost:{p}"):
            self.assertEqual(self.ask("/api/runs", headers={"Origin": origin}).status, 200, origin)

    def test_only_reading_methods(self):
        began = time.monotonic()
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"):
            answer = self.ask("/api/runs", method=method)
            self.assertIn(answer.status, (405, 400, 501), method)
            self.assertTrue(answer.body, method)
        self.assertLess(time.monotonic() - began, 10, "each answer ends by itself, not when an idle connection is closed")
        self.assertEqual(self.ask("/api/runs", method="POST").status, 405)
        head = self.ask("/app.js", method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertGreater(int(head.headers["Content-Length"]), 1000)

    def test_headers_of_every_answer(self):
        for path, token in (("/", True), ("/api/runs", True), ("/nothing", True), ("/", False)):
            headers = self.ask(path, token=token).headers
            self.assertIn("default-src 'self'", headers["Content-Security-Policy"])
            self.assertNotIn("unsafe", headers["Content-Security-Policy"])
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(headers["Referrer-Policy"], "no-referrer")
            self.assertIsNone(headers["Access-Control-Allow-Origin"])

    def test_no_path_leads_out(self):
        ups = ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "..\\", "%252e%252e%252f", "..%c0%af", "..;/", "....//", "%00/", "/"]
        targets = ["etc/passwd", "runs/gradus.db", "proc/self/root/etc/passwd"]
        n = 0
        for up in ups:
            for target in targets:
                for path in (f"/{up * 6}{target}", f"/api/{up * 3}{target}", f"/api/artifact?run=1&path={up * 4}{target}", f"/app.js/{up}{target}",
                             f"/api/log?run={up}{target}", f"/api/source?sha256={up}{target}"):
                    answer = self.ask(path.replace("\\", "%5c"))
                    self.assertIn(answer.status, (400, 404), path)
                    self.assertNotIn(b"root:", answer.body)
                    self.assertNotIn(b"SQLite format", answer.body)
                    n += 1
        self.assertGreaterEqual(n, 200)

    def test_names_come_back_as_data(self):
        data = self.json("/api/runs")
        self.assertEqual([row[1] for row in data["rows"]], NASTY[::-1])
        answer = self.ask("/api/runs")
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        for i, name in enumerate(NASTY):
            run = self.json(f"/api/run?run={i + 1}")
            self.assertEqual((run["name"], run["params"]["note"], run["events"][0]["name"], run["events"][0]["detail"]["text"]), (name,) * 4)
        # What is served as a page never has any of it.
        for path in ("/", "/app.js", "/style.css"):
            self.assertNotIn(b"alert(1)", self.ask(path).body)

    def test_wrong_values_are_refused(self):
        for query in ("run?run=abc", "run?run=-1", "run", "curves?runs=1&keys=val/acc&columns=1e18", "curves?runs=1&keys=val/acc&columns=-1",
                      "curves?runs=' OR 1=1--&keys=x".replace(" ", "%20"), "runs?where=%27", "runs?metrics=last:a%20b", "bands?key=x",
                      "curves?runs=" + ",".join(["1"] * 1001) + "&keys=x"):
            self.assertIn(self.ask("/api/" + query).status, (400, 404), query)

    def test_curves_and_their_cursor(self):
        body = self.ask("/api/curves?runs=1,2&keys=val/acc&columns=50").body
        length = struct.unpack("<I", body[:4])[0]
        head = json.loads(body[4:4 + length])
        self.assertEqual([c["run"] for c in head["curves"]], [1, 2])
        after = self.ask("/api/curves?runs=2&keys=val/acc&after=97").body
        length = struct.unpack("<I", after[:4])[0]
        self.assertEqual(json.loads(after[4:4 + length])["curves"], [{"run": 2, "key": "val/acc", "points": 2}])
        at = -(-(4 + length) // 8) * 8
        self.assertEqual(struct.unpack("<4d", after[at:]), (98, 99, 98 * 2 / 1000, 99 * 2 / 1000))

    def test_table_cursor(self):
        data = self.json("/api/runs")
        self.assertEqual(self.json(f"/api/runs?since={data['cursor']}")["rows"], [])
        self.assertEqual(len(self.json(f"/api/runs?since={data['cursor'] - 2}")["rows"]), 2)
        self.assertEqual(len(self.json(f"/api/runs?since={data['cursor']}&watch=1,2")["rows"]), 2)

    def test_broken_requests_end_soon(self):
        p, token = self.port, self.token
        good = f"Host: 127.0.0.1:{p}\r\nCookie: gradus-{p}={token}\r\n"
        for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET\r\n\r\n", b"\r\n" * 1000, f"GET /{'a' * 1000000} HTTP/1.1\r\n{good}\r\n".encode(),
                     f"GET / HTTP/1.1\r\n{good}{''.join(f'X{i}: y' + chr(13) + chr(10) for i in range(100000))}\r\n".encode(),
                     f"POST / HTTP/1.1\r\n{good}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /api/runs HTTP/1.1\r\n{good}\r\n".encode(),
                     f"GET / HTTP/1.1\r\n{good}Content-Length: -1\r\n\r\n".encode(), f"GET http://evil.com/ HTTP/1.1\r\n{good}\r\n".encode()):
            try:
                answer = self.raw(data, wait=1)
            except (BrokenPipeError, ConnectionResetError):
                continue
            self.assertNotIn(b"HTTP/1.1 200", answer.split(b"\r\n")[0], data[:60])
            self.assertNotIn(b'"rows"', answer)
        self.assertEqual(self.ask("/api/runs").status, 200)

    def test_idle_connections_do_not_stop_others(self):
        idle = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(300)]
        try:
            for sock in idle:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: ")
            began = time.monotonic()
            self.assertEqual(self.ask("/api/runs").status, 200)
            self.assertLess(time.monotonic() - began, 3)
        finally:
            for sock in idle:
                sock.close()

    def test_slow_connections_while_a_reader_is_served(self):
        """Two hundred that send a byte now and then, and read none of their answer."""
        request = f"GET /api/runs HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nCookie: gradus-{self.port}={self.token}\r\n".encode()
        slow = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(200)]
        try:
            worst, end = 0.0, time.monotonic() + (60 if FULL else 4)
            for at in range(10**9):
                if time.monotonic() > end:
                    break
                for i, sock in enumerate(slow):
                    if i < 100 or at < len(request):
                        with contextlib.suppress(OSError):  # the server may have had enough of it
                            sock.sendall(request[at % len(request):at % len(request) + 1] if i < 100 else request + b"\r\n")
                began = time.monotonic()
                self.assertEqual(self.ask("/api/runs").status, 200)
                worst = max(worst, time.monotonic() - began)
                time.sleep(0.05)
            self.assertLess(worst, 3)
        finally:
            for sock in slow:
                sock.close()

    def test_readers_do_not_let_the_server_grow(self):
        def resident():
            return int(next(line for line in pathlib.Path(f"/proc/{self.server.pid}/status").read_text().splitlines() if line.startswith("VmRSS")).split()[1])

        def read(end):
            while time.monotonic() < end:
                for path in ("runs", "run?run=1", "curves?runs=1,2,3&keys=val/acc&columns=500", "compare?runs=1,2"):
                    self.ask("/api/" + path)

        def readers(seconds):
            threads = [threading.Thread(target=read, args=(time.monotonic() + seconds,)) for _ in range(50)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        readers(2)
        before = resident()
        readers(600 if FULL else 4)
        self.assertLess(resident() - before, 20_000, "kilobytes")

    def test_the_store_is_not_written(self):
        def content():
            with sqlite3.connect(f"file:{self.store}?mode=ro", uri=True) as db:
                return list(db.iterdump())
        before = content()
        threads = [threading.Thread(target=lambda: [self.ask(f"/api/{q}") for q in ("runs", "run?run=1", "compare?runs=1,2,3", "bands?key=val/acc&runs=1,2")]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(content(), before)

    def test_pages_that_stay_open_do_not_let_the_log_grow(self):
        store = self.dir / "much" / "gradus.db"
        self.write(store)
        server, url = self.serve(store)
        address, token = url.split("/?token=")
        run = len(NASTY) + 1

        def ask():
            while writer.poll() is None:
                for path in ("runs?since=0", f"run?run={run}", f"curves?runs={run}&keys=k1,k2,k3&columns=500", f"bands?key=k1&runs={run}"):
                    request = urllib.request.Request(f"{address}/api/{path}", headers={"Authorization": f"Bearer {token}"})
                    with contextlib.suppress(urllib.error.HTTPError):  # the run is not there in the first moment
                        urllib.request.urlopen(request, timeout=30).close()

        writer = self.write(store, wait=False, MUCH="1")
        pages = [threading.Thread(target=ask) for _ in range(3)]
        for page in pages:
            page.start()
        largest = 0
        while writer.poll() is None:
            with contextlib.suppress(FileNotFoundError):
                largest = max(largest, pathlib.Path(f"{store}-wal").stat().st_size)
            time.sleep(0.005)
        for page in pages:
            page.join()
        self.assertEqual(writer.returncode, 0, writer.stderr.read())
        self.assertIsNone(server.poll(), "the server has ended")
        self.assertGreater(largest, 1 << 20, "nothing was seen of the log")
        self.assertLess(largest, 64 << 20)
        with sqlite3.connect(store) as db:
            self.assertEqual(db.execute("SELECT count(*) FROM metrics WHERE run_id = ?", (run,)).fetchone(), (600_000,))
        db.close()

    def test_listens_on_loopback_only(self):
        hex_port = f"{self.port:04X}"
        with open("/proc/net/tcp") as table:
            listening = [line.split()[1] for line in table if line.split()[3] == "0A" and line.split()[1].endswith(":" + hex_port)]
        self.assertEqual(listening, ["0100007F:" + hex_port])

    def test_a_taken_port_is_told(self):
        taken = subprocess.run([GRADUS, "serve", "--port", str(self.port), "--store", str(self.store)], capture_output=True, text=True, timeout=20)
        self.assertEqual(taken.returncode, 74)
        self.assertIn(str(self.port), taken.stderr)
        other = subprocess.Popen([GRADUS, "serve", "--json", "--store", str(self.store)], stdout=subprocess.PIPE, text=True)
        try:
            self.assertNotIn(f":{self.port}/", json.loads(other.stdout.readline())["url"])
        finally:
            other.terminate()
            other.wait()
            other.stdout.close()


if __name__ == "__main__":
    unittest.main()
