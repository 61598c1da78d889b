"""A real nginx between the page and a real Jupyter server: one lets streams through, one holds them back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from .held_port import hold_port
from .notebook_cards import moves

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt install nginx-light)"),
]

CONFIGURATION = """
daemon off;
pid nginx.pid;
error_log error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        proxy_set_header Host $http_host;
        location / {{ proxy_pass http://127.0.0.1:{server}; {options} }}
    }}
}}
"""
# With HTTP/1.0 to the server, its default for long, nginx waits for a full buffer. With 1.1 it hands on each chunk.
HELD_BACK = ("proxy_http_version 1.0; proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"
             "proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;")
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Task</title>
<script id="jupyter-config-data" type="application/json">%s</script></head><body><main id="card"></main>
<script type="module">
import { mount } from '%sstatic/sse_tasks/task_view.js';
import { connectHub } from '%sstatic/sse_tasks/hub.js';
mount(document.getElementById('card'), { ...%s, hub: connectHub() });
</script></body></html>"""


@pytest.fixture(params=["proxy_http_version 1.1;", HELD_BACK], ids=["lets through", "holds back"])
def proxied(request, jupyter_server, tmp_path: Path):
    """The Jupyter server, and its port behind nginx."""
    server = jupyter_server("lab")
    holder = hold_port()
    port = holder.getsockname()[1]
    (tmp_path / "nginx.conf").write_text(
        CONFIGURATION.format(port=port, server=server.port, options=request.param))
    nginx = subprocess.Popen([NGINX, "-p", tmp_path, "-c", tmp_path / "nginx.conf"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_nginx(nginx, port)
    yield server, port, "polling" if request.param == HELD_BACK else "live"
    nginx.send_signal(signal.SIGTERM)
    nginx.wait(30)
    holder.close()
    server.clear()


def wait_for_nginx(nginx: subprocess.Popen[bytes], port: int) -> None:
    """Until it takes connections."""
    deadline = time.monotonic() + 30
    while True:
        assert nginx.poll() is None, "nginx ended at once"
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "nginx takes no connection"
            time.sleep(0.02)


async def test_a_view_moves_behind_a_proxy(page, proxied):
    """Where nginx lets the stream through the card is live. Where it is told to hold back what it gets, whatever the
    server says to that, the page notices, asks every two seconds, and every control acts."""
    server, port, connection = proxied
    headers = {"Authorization": f"token {server.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
        started = await client.post("api/tasks/your-task", json={"steps": 3000, "seconds": 300})
    config = json.dumps({"baseUrl": server.base_url, "token": server.token})
    task = json.dumps({"taskType": "your-task", "taskId": started.json()["taskId"]})
    address = f"http://127.0.0.1:{port}{server.base_url}page"
    await page.route(address, lambda route: route.fulfill(
        body=PAGE % (config, server.base_url, server.base_url, task), content_type="text/html"))
    await page.goto(address)

    card = page.locator(".sse-tasks-TaskView")
    await expect(card).to_have_attribute("data-connection", connection)
    await moves(card)
    await moves(card)
    await card.get_by_role("button", name="Pause").click()
    await expect(card).to_have_attribute("data-status", "paused")
    await card.get_by_role("button", name="Resume").click()
    await expect(card).to_have_attribute("data-status", "running")
