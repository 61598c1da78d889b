"""Handle and view in a real kernel: callbacks, a busy kernel, a restarted one, an interrupted one."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

from ..places import wait_for
from .conftest import CellRun, Kernel, put_sign


def state(run: CellRun) -> list[str]:
    """The statuses that the widgets' snapshots were set to by comm messages of this cell."""
    updates = [content["data"] for content in run.of("comm_msg") if content["data"].get("method") == "update"]
    return [update["state"]["snapshot"]["status"] for update in updates if "snapshot" in update["state"]]


def test_callbacks_print_into_the_cell_that_made_them(kernel: Kernel) -> None:
    """Once, with the result, between two cells; not into the cell that ran in the meantime."""
    made = kernel.run("from IPython.display import display\n"
                      "def done(result):\n    print('complete', result)\n    display({'a': result})\n"
                      "u = use_task(on_complete=done, on_error=print)")
    started = kernel.run("u.start('steps', {'steps': 4, 'seconds': 0.1});")
    busy = kernel.run("u.wait()\ntime.sleep(0.3)\nprint('busy')")

    kernel.until(lambda: "complete" in made.text() and made.of("display_data"), "the callback's output")
    after = kernel.run("print('after')")
    assert (made.text(), started.text(), busy.text(), after.text()) == ("complete 4\n", "", "busy\n", "after\n")


def test_errors_are_called_back(kernel: Kernel) -> None:
    """`on_error` gets the sentence of a task that failed; of one that was aborted neither callback is called."""
    made = kernel.run("def told(how):\n    return lambda what: print(how, what)\n"
                      "u = use_task(on_complete=told('complete'), on_error=told('error'))\n"
                      "u.start('steps', until=1);")
    kernel.until(lambda: "\n" in made.text(), "the callback's output")
    assert made.text() == "error The shop is closed.\n"

    made = kernel.run("u = use_task(on_complete=told('complete'), on_error=told('error'))\n"
                      "seen = []\nu.observe(lambda change: seen.append(change.new), 'status')\n"
                      "u.start('steps', seconds=60)\nu.abort()")
    kernel.until(lambda: kernel.run("str(seen[-1:])").result == "[<Status.ABORTED: 'aborted'>]", "the end")
    assert made.text() == ""


def test_callbacks_come_also_when_the_task_had_ended_before(kernel: Kernel) -> None:
    """`get_task(…, on_complete=…)` of an ended task calls back, once."""
    kernel.run("t = start_task('steps')\nt.wait()")

    made = kernel.run("get_task(t.task_id, on_complete=lambda result: print('complete', result));")
    kernel.until(lambda: made.text(), "the callback's output")
    kernel.run("1")
    assert made.text() == "complete 3\n"


def test_a_task_that_was_forgotten_is_shown_as_it_was(kernel: Kernel) -> None:
    """By whoever forgot it, or by its age: its handle still has a last picture."""
    kernel.run("t = start_task('steps')\nt.wait()\ndefault_manager().forget(t.task_id)")

    [shown] = kernel.run("t").of("display_data")
    assert "completed" in shown["data"]["text/plain"]


def test_a_callback_that_raises_is_shown_in_its_cell(kernel: Kernel) -> None:
    """Its traceback lands there, and the kernel goes on."""
    made = kernel.run("use_task(on_complete=lambda result: 1 / 0).start('steps');")

    kernel.until(lambda: "ZeroDivisionError" in made.text("stderr"), "the traceback")
    assert kernel.run("1 + 1").result == 2


def test_callbacks_run_on_the_kernels_main_thread(kernel: Kernel) -> None:
    """So they may touch what cells touch. A handle that nobody holds is called back all the same."""
    kernel.run("import gc, threading\nthreads = []\ndef done(_):\n    threads.append(threading.current_thread().name)\n"
               "use_task(on_complete=done).start('steps', seconds=0.1);")
    kernel.run("_ = gc.collect()")

    kernel.until(lambda: kernel.run("threads").result, "the callback")
    assert kernel.run("threads").result == ["MainThread"]


def test_traits_are_observed(kernel: Kernel, tmp_path: Path) -> None:
    """Changes of status, progress, message, error, result and is_connected reach observers, in order, to the last."""
    kernel.run("changes = []\nt = use_task()\n"
               "t.observe(lambda change: changes.append((change.name, change.new)))\n"
               f"t.start('waits', path={str(tmp_path / 'go')!r});")
    kernel.until(lambda: kernel.run("sum(name == 'progress' for name, _ in changes) > 0").result, "progress")
    put_sign(tmp_path / "go", "went")

    kernel.until(lambda: kernel.run("[c for c in changes if c == ('is_connected', False)]").result, "the end")
    last = kernel.run("last = dict(changes)\nstr(last['status']), last['progress'].current == t.progress.current, "
                      "last['result']").result
    assert last == ("completed", True, "went")
    assert kernel.run("[str(value) for name, value in changes if name == 'status']").result[-1] == "completed"
    assert kernel.run("[v for name, v in changes if name == 'is_connected']").result == [True, False]


def test_traits_are_fresh_while_a_cell_runs(kernel: Kernel) -> None:
    """A loop over `t.status` ends: what is read is what is the case, though no observer was called yet."""
    run = kernel.run("t = start_task('steps', seconds=0.05)\nwhile not t.is_done:\n    time.sleep(0.01)\n"
                     "str(t.status), t.result, t.progress.current")

    assert run.result == ("completed", 3, 3.0)


def test_the_view_moves_while_the_kernel_is_busy(kernel: Kernel, tmp_path: Path) -> None:
    """Snapshots go to the pages from a thread, at most ten a second, the last one at the end."""
    kernel.run(f"t = %start_task waits --path {tmp_path / 'go'}\nnext(u for u in t.updates() if u.progress)")
    runs_before = len(kernel.runs)
    busy = kernel.begin("began = time.monotonic()\nwhile not t.is_done: time.sleep(0.05)\ntime.monotonic() - began")
    kernel.until(lambda: len(state(busy)) > 6, "snapshots")
    put_sign(tmp_path / "go", "went")
    kernel.finish(busy)

    seen = state(busy)
    assert 6 < len(seen) < 10 * busy.result + 5
    assert seen[0] == "running"
    kernel.until(lambda: any("completed" in state(run) for run in list(kernel.runs.values())[runs_before:]), "the last")


def test_the_cell_says_in_the_end_how_its_task_ended(kernel: Kernel) -> None:
    """HTML and text in the notebook are replaced once, by the last state."""
    shown = kernel.run("t = %start_task steps --seconds 60").of("display_data")[0]
    waited = kernel.run("t.abort()\nt.wait()", fails=True)

    def update():
        return [content for run in kernel.runs.values() for content in run.of("update_display_data")
                if content["transient"]["display_id"] == shown["transient"]["display_id"]]

    kernel.until(update, "the last state")
    kernel.run("time.sleep(0.3)")
    [last] = update()
    assert "aborted" in last["data"]["text/plain"] and "Aborted" in last["data"]["text/html"]
    assert last in waited.of("update_display_data")


def test_buttons_without_a_server_ask_the_task(kernel: Kernel) -> None:
    """What a page sends through the widget's comm pauses and aborts, and a late click is answered with a sentence."""
    run = kernel.run("t = %start_task steps --seconds 60\n"
                     "updates = t.updates()\nnext(u for u in updates if u.progress)")
    comm_id = next(content["comm_id"] for content in run.of("comm_open") if "task_id" in content["data"]["state"])

    def click(number: int, action: str) -> None:
        content = {"comm_id": comm_id, "data": {"method": "custom", "content": {
            "type": "ask", "id": number, "action": action}}}
        kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", content))

    def answer(number: int) -> dict:
        messages = [*kernel.others, *(message for run in kernel.runs.values() for message in run.messages)]
        answers = [message["content"]["data"].get("content", {}) for message in messages
                   if message["msg_type"] == "comm_msg"]
        return next((found for found in answers if found.get("id") == number), {})

    click(1, "pause")
    kernel.run("next(u for u in updates if u.status == 'paused')")
    click(2, "abort")
    kernel.run("[u for u in updates][-1]")
    click(3, "pause")
    assert "it is aborted already" in kernel.until(lambda: answer(3), "the answer")["error"]
    assert "error" not in kernel.until(lambda: answer(1), "the answer")


def test_a_view_without_a_server_restarts_and_follows(kernel: Kernel) -> None:
    """A page asks for a restart through the comm, is given the new task's id, asks for its states, and gets them."""
    run = kernel.run("t = %start_task steps --until 1\nwhile not t.is_done: time.sleep(0.01)")
    comm_id = next(content["comm_id"] for content in run.of("comm_open") if "task_id" in content["data"]["state"])

    def send(message: dict) -> None:
        content = {"comm_id": comm_id, "data": {"method": "custom", "content": message}}
        kernel.client.shell_channel.send(kernel.client.session.msg("comm_msg", content))

    def told(**wanted: object) -> list[dict]:
        messages = [*kernel.others, *(message for run in kernel.runs.values() for message in run.messages)]
        found = [message["content"]["data"].get("content", {}) for message in messages
                 if message["msg_type"] == "comm_msg" and message["content"]["comm_id"] == comm_id]
        return [content for content in found if wanted.items() <= content.items()]

    send({"type": "ask", "id": 1, "action": "restart"})
    new = kernel.until(lambda: told(type="answer", id=1), "the answer")[0]["taskId"]
    send({"type": "hello", "taskId": new})
    kernel.until(lambda: told(type="hello", taskId=new), "the hello")

    def last() -> dict:
        return [content["task"] for content in told(type="snapshot") if content["task"]["taskId"] == new][-1:]

    [task] = kernel.until(lambda: (found := last()) and found[0]["status"] == "failed" and found, "the end")
    assert (task["restartOf"], task["error"]) == (kernel.run("t.task_id").result, "The shop is closed.")
    assert kernel.run("get_task().task_id").result == new
    send({"type": "hello", "taskId": "0" * 26})
    assert "There is no task" in kernel.until(lambda: told(type="hello", taskId="0" * 26), "the hello")[0]["error"]


def test_a_task_survives_a_restart_of_its_kernel(kernel: Kernel, tmp_path: Path) -> None:
    """The kernel is killed in mid-task: the task goes on, and `get_task()` finds it as this notebook's last."""
    path = tmp_path / "go"
    task_id = kernel.run(f"t = %start_task waits --path {path} --quiet\n"
                         "next(u for u in t.updates() if u.progress)\nt.task_id").result

    kernel.restart()

    kernel.run("%load_ext sse_tasks\nfrom sse_tasks import *\nimport time")
    assert kernel.run("t = get_task()\nt.task_id, str(t.status), t.is_connected").result == (task_id, "running", True)
    kernel.run("updates = t.updates(t.info.cursor)\nnext(u for u in updates if u.progress)")
    put_sign(path, "gone")
    made = kernel.run("u = get_task(on_complete=lambda result: print('complete', result))\nu.wait()")
    assert made.result == "gone"
    kernel.until(lambda: made.text() == "complete gone\n", "the callback")
    assert kernel.run("%task_output").text().startswith("step 1\n")


def test_ctrl_c_ends_the_waiting_not_the_task(kernel: Kernel) -> None:
    """An interrupted `wait()` raises KeyboardInterrupt at once."""
    for wait in ("t.wait()", "for u in t.updates(): pass", "await t"):
        kernel.run("t = start_task('steps', seconds=60)\nupdates = t.updates()\nnext(u for u in updates if u.progress)")
        waiting = kernel.begin(f"print('now', flush=True)\n{wait}")
        kernel.until(lambda waiting=waiting: "now" in waiting.text(), "the wait")

        kernel.manager.interrupt_kernel()

        kernel.finish(waiting, fails=True)
        assert waiting.reply["ename"] in ("KeyboardInterrupt", "CancelledError")
        assert kernel.run("str(t.status)\n").result == "running"
        kernel.run("t.abort()")


def test_a_task_can_be_awaited(kernel: Kernel) -> None:
    """`await t` and `async for`, on the kernel's loop, which goes on in the meantime."""
    run = kernel.run("import asyncio\nticks = 0\nasync def tick():\n    global ticks\n    while True:\n"
                     "        ticks += 1\n        await asyncio.sleep(0.01)\n"
                     "ticking = asyncio.ensure_future(tick())\nt = start_task('steps', seconds=0.2)\n"
                     "statuses = [str(u.status) async for u in t.updates()]\nticking.cancel()\n"
                     "await t, statuses[0], statuses[-1], ticks > 3")

    assert run.result == (3, "idle", "completed", True)


def test_a_function_of_the_notebook_is_a_task(kernel: Kernel) -> None:
    """It travels by value with what it uses, needs no ctx, and its prints are its output."""
    kernel.run("from dataclasses import dataclass\nimport msgspec\nfactor = 3\n"
               "@dataclass\nclass Point:\n    x: int\n"
               "class Box(msgspec.Struct):\n    size: int\n    name: str = 'box'\n"
               "def helper(x):\n    return x * factor\n"
               "@task\ndef my_task(point: Point, box: Box, times: int = 1) -> dict:\n"
               "    print('at', point, box)\n    return {'x': helper(point.x) * times, 'box': box.size}")

    run = kernel.run("t = my_task.start(point={'x': 2}, box=Box(5))\nt.wait(), t.task_type, t.output()")
    assert run.result == ({"x": 6, "box": 5}, "my-task", "at Point(x=2) Box(size=5, name='box')\n")
    assert kernel.run("my_task.start(point={'x': 'a'})", fails=True).reply["ename"] == "InvalidInputError"


def test_pandas_and_widgets_are_loaded_when_needed(kernel: Kernel) -> None:
    """`%load_ext` alone is quick: it imports neither, and no server."""
    run = kernel.run("import subprocess, sys\nsubprocess.run([sys.executable, '-c', '''\nimport sys, sse_tasks\n"
                     "print(sorted({'IPython', 'ipywidgets', 'anywidget', 'pandas', 'tornado', 'playwright', "
                     "'jupyter_server'} & sys.modules.keys()))'''], capture_output=True, text=True).stdout")

    assert run.result == "[]\n"


def test_a_notebook_run_without_a_server_holds_the_end(notebook_folder: Path) -> None:
    """nbclient, as nbconvert uses it: all works, and the saved outputs say how the tasks ended."""
    cells = ["%load_ext sse_tasks", "t = %start_task steps --steps 5 --seconds 0.05", "t.wait()", "t.to_frame()", "t"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])

    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(notebook_folder)}}).execute()

    [shown] = notebook.cells[1].outputs
    assert "completed" in shown.data["text/plain"] and "Completed" in shown.data["text/html"]
    assert notebook.cells[2].outputs[0].data["text/plain"] == "5"
    assert "2026-01-05" in notebook.cells[3].outputs[0].data["text/plain"]
    assert "completed" in notebook.cells[4].outputs[0].data["text/plain"]


def test_an_end_between_two_cells_is_in_the_notebook_too(notebook_folder: Path, tmp_path: Path) -> None:
    """nbclient hears of nothing then: the cell that waits for the end says it again."""
    sign, told = tmp_path / "go", tmp_path / "told"
    tell = ("import threading\ndef tell():\n    while not t._view._is_settled: time.sleep(0.01)\n"
            f"    with t._view._lock: open({str(told)!r}, 'w').close()\nthreading.Thread(target=tell).start()")
    cells = ["%load_ext sse_tasks\nimport time", f"t = %start_task waits --path {sign}\n{tell}", "t.wait()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(notebook_folder)}})

    def end_the_task(cell: object, cell_index: int, execute_reply: object) -> None:
        if cell_index == 1:
            put_sign(sign, "went")
            wait_for("the end in the output", told.exists, 60)

    client.on_cell_executed = end_the_task
    client.execute()

    [shown] = notebook.cells[1].outputs
    assert "completed" in shown.data["text/plain"] and "Completed" in shown.data["text/html"]
