"""The pictures of the documentation, taken anew of what there is: ``make pictures`` writes docs/pictures.

Real JupyterLab, real tasks, a real Chromium; the states of a card, some of which last a moment only, are those of the
accessibility tests.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

sys.path.insert(0, str(Path(__file__).parent))

from conftest import CHROMIUM_FLAGS, _chromium
from jupyter_servers import JupyterServer, NotebookPage
from overview_server import OverviewServer
from test_accessibility import fill, show_all

TARGET = Path(__file__).resolve().parents[2] / "docs" / "pictures"
DARK = "jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"

TRAIN = '''
import math
from typing import Annotated, Literal

from msgspec import Meta

from sse_tasks import TaskContext, task


@task("train-model")
def train_model(ctx: TaskContext, epochs: Annotated[int, Meta(ge=1, le=500, description="Rounds over the data.")] = 60,
                rate: Annotated[float, Meta(gt=0, le=1, description="The learning rate.")] = 0.01,
                model: Annotated[Literal["small", "large"], Meta(description="Which one.")] = "small",
                notes: str = "", seconds: float = 60.0, fail_at: int = 0) -> dict:
    """Train a model on the table of last year's orders."""
    for epoch in ctx.track(range(1, epochs + 1), "Training"):
        loss = 1.6 * math.exp(-epoch / 18) + 0.12 + 0.05 * math.sin(epoch)
        ctx.metric("loss", loss, step=epoch)
        ctx.metric("accuracy", 1 - loss / 2, step=epoch)
        ctx.emit({"epoch": epoch, "loss": round(loss, 4), "rows": 48_000})
        print(f"\\x1b[36mepoch {epoch:3}\\x1b[0m  loss \\x1b[1m{loss:.4f}\\x1b[0m", flush=True)
        ctx.checkpoint({"epoch": epoch})
        if epoch == fail_at:
            raise ValueError("The table has no column 'price'")
        ctx.sleep(seconds / epochs)
    return {"loss": 0.18, "model": model}
'''


async def picture(page: Page, name: str, **options: Any) -> None:
    await page.evaluate("document.fonts.ready")
    await page.screenshot(path=TARGET / f"{name}.png", animations="disabled", **options)
    print(TARGET / f"{name}.png")


async def states(browser: Browser) -> None:
    """A card in each state: light, dark, in high contrast, and as narrow as a phone."""
    overview = OverviewServer()
    overview.url = overview.start()  # type: ignore[attr-defined]
    fill(overview)
    for name, looks in {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"},
                        "high-contrast": {"forced_colors": "active"}}.items():
        page = await browser.new_page(viewport={"width": 800, "height": 900}, **looks)
        await show_all(page, overview)
        await picture(page, f"states-{name}", full_page=True)
        await page.close()
    page = await browser.new_page(viewport={"width": 320, "height": 900})
    await show_all(page, overview)
    await picture(page, "states-narrow", full_page=True)
    await page.close()
    await overview.stop()


async def jupyter(browser: Browser) -> None:
    """A notebook with its task, the panel, the form and the page."""
    with tempfile.TemporaryDirectory() as folder:
        server = JupyterServer("lab", Path(folder) / "lab")
        (server.folder / "workers" / "train_model.py").write_text(TRAIN)
        try:
            server.wait()
            page = await browser.new_page(viewport={"width": 1280, "height": 800})
            server.write("orders.ipynb", "%load_ext sse_tasks",
                         't = %start_task train-model --epochs 60 --task-name "Train on last year\'s orders"',
                         "failed = %start_task train-model --epochs 9 --seconds 1 --fail-at 7 --quiet\n"
                         "done = %start_task train-model --epochs 9 --seconds 1 --task-name Rehearsal --quiet\n"
                         "other = %start_task train-model --epochs 90 --seconds 300 --task-name Large --quiet\n"
                         "other.pause()")
            opened = await NotebookPage(page, server, "orders.ipynb").open()
            await opened.run(0, 1, 2)
            card = opened.cards()
            await expect(card.locator(".sse-tasks-TaskView-figures")).to_contain_text("left")
            for section in ("Output", "Metrics", "Items"):
                await card.get_by_role("button", name=section).first.click()
            await page.evaluate("jupyterapp.commands.execute('sse-tasks:show')")
            await expect(page.locator("#sse-tasks-panel .sse-tasks-Row[data-status=failed]")).to_be_visible()
            await expect(card.get_by_role("log")).to_contain_text("epoch   9")  # charts then have something to show
            await picture(page, "lab-light")
            await page.evaluate(DARK)
            await page.wait_for_function(
                "() => document.body.dataset.jpThemeLight === 'false' && "
                "getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim() === '#111'")
            await picture(page, "lab-dark")
            for name, looks in {"light": {}, "dark": {"color_scheme": "dark"},
                                "phone": {"viewport": {"width": 360, "height": 740}}}.items():
                other = await browser.new_page(**{"viewport": {"width": 900, "height": 620}, **looks})
                await other.goto(f"{server.url}sse-tasks?token={server.token}")
                await expect(other.locator(".sse-tasks-Row[data-status=failed]")).to_be_visible()
                await picture(other, f"page-{name}")
                await other.get_by_role("button", name="Start").first.click()
                form = other.get_by_role("form", name="Start a task")
                await form.get_by_label("Task type").select_option("train-model")
                await form.get_by_label("Epochs").fill("1000")
                await form.get_by_label("Rate").fill("0.02")
                await picture(other, f"form-{name}")
                await other.close()
            await page.close()
        finally:
            server.clear()
            server.close()


async def main() -> None:
    TARGET.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_chromium(playwright), args=CHROMIUM_FLAGS)
        await states(browser)
        await jupyter(browser)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
