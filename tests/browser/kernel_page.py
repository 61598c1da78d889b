"""A front end with a kernel and without a network: a page that may connect to nothing, as a webview of an editor.

What it knows of widgets is what any front end gives anywidget: a model whose state and messages go over a comm.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from playwright.async_api import Page

ADDRESS = "http://webview.test/"
POLICY = "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Webview</title>
<meta name="color-scheme" content="light dark"></head><body><div id="output"></div><script>
window.violations = [];
document.addEventListener('securitypolicyviolation', event => violations.push(event.blockedURI));
class Model {
  constructor(state) { Object.assign(this, { state, changed: {}, listeners: [] }); }
  get(name) { return this.state[name]; }
  set(name, value) { this.state[name] = this.changed[name] = value; this.emit(`change:${name}`); }
  save_changes() { toKernel({ method: 'update', state: this.changed, buffer_paths: [] }); this.changed = {}; }
  send(content) { toKernel({ method: 'custom', content }); }
  on(name, listener) { this.listeners.push({ name, listener }); }
  off(name, listener) { this.listeners = this.listeners.filter(one => one.name !== name || one.listener !== listener); }
  emit(name, ...values) { for (const one of this.listeners) if (one.name === name) one.listener(...values); }
  receive({ method, state, content }, buffers) {
    const bytes = text => Uint8Array.from(atob(text), character => character.charCodeAt());
    const views = buffers.map(text => new DataView(bytes(text).buffer));
    if (method === 'custom') this.emit('msg:custom', content, views);
    if (method !== 'update') return;
    Object.assign(this.state, state);
    for (const name of Object.keys(state)) this.emit(`change:${name}`);
  }
}
async function open({ _esm, _css, ...state }) {
  const style = document.createElement('style');
  style.textContent = _css;
  document.head.append(style);
  const { default: widget } = await import(URL.createObjectURL(new Blob([_esm], { type: 'text/javascript' })));
  window.model = new Model(state);
  await widget.initialize?.({ model });
  await widget.render({ model, el: document.getElementById('output') });
}
</script></body></html>"""


class KernelPage:
    """``async with KernelPage(page) as opened:`` and then ``await opened.run(code)``."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._manager = AsyncKernelManager()
        self._client: AsyncKernelClient
        self._comm_id = ""
        self._begun: dict[str, asyncio.Event] = {}
        self._idle: dict[str, asyncio.Event] = {}

    async def __aenter__(self) -> KernelPage:
        await self.page.route(ADDRESS, lambda route: route.fulfill(
            body=PAGE, content_type="text/html", headers={"Content-Security-Policy": POLICY}))
        await self.page.expose_function("toKernel", self._send)
        await self.page.goto(ADDRESS)
        await self._manager.start_kernel()
        self._client = self._manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=60)
        self._pump = asyncio.create_task(self._deliver())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pump.cancel()
        self._client.stop_channels()
        await self._manager.shutdown_kernel(now=True)

    async def run(self, code: str) -> None:
        """Runs a cell to its end."""
        await asyncio.wait_for((await self.begin(code)).wait(), 60)

    async def begin(self, code: str) -> asyncio.Event:
        """Runs a cell; once the kernel has begun with it, gives the event of its end."""
        msg_id = self._client.execute(code)
        await asyncio.wait_for(self._begun.setdefault(msg_id, asyncio.Event()).wait(), 60)
        return self._idle.setdefault(msg_id, asyncio.Event())

    async def interrupt(self) -> None:
        await self._manager.interrupt_kernel()

    def _send(self, data: dict[str, Any]) -> None:
        content = {"comm_id": self._comm_id, "data": data}
        self._client.shell_channel.send(self._client.session.msg("comm_msg", content))

    async def _deliver(self) -> None:
        while True:
            message = await self._client.get_iopub_msg()
            kind, content = message["msg_type"], message["content"]
            asked_by = message["parent_header"].get("msg_id")
            if kind == "execute_input":
                self._begun.setdefault(asked_by, asyncio.Event()).set()
            if kind == "status" and content["execution_state"] == "idle":
                self._idle.setdefault(asked_by, asyncio.Event()).set()
            elif kind == "comm_open" and "task_id" in content["data"].get("state", {}):
                self._comm_id = content["comm_id"]
                await self.page.evaluate("state => open(state)", content["data"]["state"])
            elif kind == "comm_msg" and content["comm_id"] == self._comm_id:
                buffers = [base64.b64encode(buffer).decode() for buffer in message["buffers"]]
                await self.page.evaluate("([data, buffers]) => model.receive(data, buffers)",
                                         [content["data"], buffers])
