"""A real Chromium, and what it looks at: the overview server's page, a real JupyterLab, a real Notebook 7."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Playwright, async_playwright, expect

CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
expect.set_options(timeout=40_000)
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]


def _load(name: str) -> ModuleType:
    """A module beside this file: tests are no packages."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
        assert spec and spec.loader
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


_load("held_port")  # the servers' modules import it


def _chromium(playwright: Playwright) -> str:
    own = playwright.chromium.executable_path
    found = own if Path(own).exists() else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail("These tests need a Chromium: install the system's chromium, or run `playwright install chromium`.")
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_chromium(playwright), args=CHROMIUM_FLAGS)
        yield browser
        await browser.close()


async def new_page(browser: Browser) -> Page:
    context = await browser.new_context(viewport={"width": 1100, "height": 900})
    page = await context.new_page()
    page.set_default_timeout(60_000)
    return page


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of its own cookies and storage, wide enough for a card's full width."""
    page = await new_page(browser)
    yield page
    await page.context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def overview() -> AsyncIterator[object]:
    server = _load("overview_server").OverviewServer()
    server.url = server.start()
    yield server
    await server.stop()
    server.port_holder.close()


@pytest.fixture(scope="session")
def jupyter_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable]:
    """Real servers, each started once: ``jupyter_server("lab", extension=False, lab_extension=True)``.

    Without the server's extension the pages have the extension that a wheel brings, for an editable install has its
    files served by the server's.
    """
    servers: dict[tuple, object] = {}

    def get(application: str, extension: bool = True, lab_extension: bool = True) -> object:
        key = (application, extension, lab_extension)
        if key not in servers:
            folder = tmp_path_factory.mktemp(application)
            if lab_extension and not extension:
                _put_lab_extension(folder)
            # Below another address than "/" no path can be taken for granted.
            base_url = "/user/a%40b/" if application == "lab" else "/"
            servers[key] = server = _load("jupyter_servers").JupyterServer(
                application, folder, extension=extension, lab_extension=lab_extension, base_url=base_url)
            server.wait()
        return servers[key]

    yield get
    for server in servers.values():
        server.close()


def _put_lab_extension(folder: Path) -> None:
    """What a wheel has for JupyterLab, where this server's JupyterLab looks first."""
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder / "wheel"],
                   cwd=root, check=True, capture_output=True)
    [wheel] = (folder / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            _, found, path = name.partition(".data/data/share/jupyter/")
            if found:
                target = folder / "first" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def open_notebooks(browser: Browser) -> AsyncIterator[dict]:
    """Of each server the page that a test of the module has left open: a page of JupyterLab takes seconds to load."""
    opened: dict[object, object] = {}
    yield opened
    for server, one in opened.items():
        await one.page.context.close()
        server.clear()


@pytest_asyncio.fixture(loop_scope="session")
async def notebook_page(browser: Browser, open_notebooks: dict, request: pytest.FixtureRequest
                        ) -> AsyncIterator[Callable]:
    """Opens a notebook with cells: ``await notebook_page(server, "1 + 1")``. Page and kernel are those of the module's
    test before, where they are whole."""
    used = []
    failed_before = request.session.testsfailed

    async def open_notebook(server: object, *cells: object) -> object:
        used.append(server)
        opened = open_notebooks.get(server)
        if opened and await opened.replace(*cells):
            return opened
        if opened:
            await opened.page.context.close()
        page = await new_page(browser)
        name = f"{request.node.name.split('[')[0]}.ipynb"
        server.write(name, *cells)
        opened = open_notebooks[server] = _load("jupyter_servers").NotebookPage(page, server, name)
        return await opened.open()

    yield open_notebook
    for server in used:
        has_failed = request.session.testsfailed > failed_before
        if has_failed and (opened := open_notebooks.pop(server, None)):
            await opened.page.context.close()
        server.clear(kernels=has_failed)
