"""The magics, in a real kernel."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import NOTEBOOK, Kernel

WIDGET = "application/vnd.jupyter.widget-view+json"


def test_without_arguments_it_lists_the_task_types(kernel: Kernel) -> None:
    """`%start_task` alone names those beside the notebook and those installed, with their docs."""
    text = kernel.run("%start_task").text()

    assert re.search(r"^  steps +Counts, with progress", text, re.MULTILINE)
    assert "scrape-reviews" in text


def test_help_tells_the_options_of_one(kernel: Kernel) -> None:
    """`--help` starts nothing and lists option, type, default and description."""
    text = kernel.run("%start_task typed --help").text()

    assert "--color blue|red" in text and "(default: 5)" in text and "the page" in text
    assert "--headless, --no-headless" in text


@pytest.mark.parametrize(("options", "field"), [
    ("--url a --max-pages 3", "('a', 3, "),
    ("--url 5 --no-headless", "('5', 5, False, "),
    ("--url a --tags x --tags 'y z'", "['x', 'y z']"),
    ("--url a --color blue", "'blue'"),
    ("--url a --ratio 0.25", " 0.25, "),
    ("--url a --ratio half", " 'half', "),
    ("--url a --address.city Graz --address.zip-code 8010", "Address(city='Graz', zip_code=8010)"),
    ('--url a --window {"since": "2026-01-02"}', "Window(since=datetime.date(2026, 1, 2), days=7)"),
    ("--url a --since 2026-01-02", "datetime.date(2026, 1, 2))"),
    ('{"url": "$name {name}"}', "('$name {name}', "),
    ("--url $name --tags {name.upper()}", "('kettle', 5, True, ['KETTLE']"),
    ("--input whole --max-pages 9", "('w', 9, "),
])
def test_options_have_the_types_of_the_signature(kernel: Kernel, options: str, field: str) -> None:
    """What stands in the line arrives in the worker as what its annotations say."""
    kernel.run("name = 'kettle'; whole = {'url': 'w'}")

    run = kernel.run(f"%start_task typed {options} --wait --quiet")

    assert field in run.result


def test_the_view_is_shown_once(kernel: Kernel) -> None:
    """As the cell's last value, assigned, or followed by other code: one display, with widget, HTML and text."""
    for code in ("%start_task steps", "t = %start_task steps", "t = %start_task steps\n1"):
        run = kernel.run(code)

        shown = run.of("display_data")
        assert len(shown) == 1, code
        assert list(shown[0]["data"]) == [WIDGET, "application/vnd.sse-tasks.task+json", "text/html", "text/plain"]
        assert len(run.of("execute_result")) == code.endswith("1")
    assert len(kernel.run("t").of("display_data")) == 1


def test_quiet_shows_nothing(kernel: Kernel) -> None:
    """`--quiet` gives the handle alone."""
    run = kernel.run("t = %start_task steps --quiet\n%start_task steps --quiet")

    assert run.of("display_data", "execute_result", "stream") == []
    assert kernel.run("t.wait()").result == 3


def test_wait_gives_the_result(kernel: Kernel) -> None:
    """`--wait` shows the view, waits, and gives the result in place of the handle."""
    run = kernel.run("%start_task steps --steps 2 --wait")

    assert len(run.of("display_data")) == 1
    assert run.result == 2


def test_the_kernel_stays_free(kernel: Kernel) -> None:
    """While a task runs, other cells run."""
    kernel.run("t = %start_task steps --seconds 60")

    assert kernel.run("1 + 1, t.is_done").result == (2, False)
    kernel.run("%abort_task")


@pytest.mark.parametrize(("code", "sentence"), [
    ("%start_task stps", "There is no task type 'stps'. Did you mean steps?"),
    ("%start_task steps --second 1", "--second: steps has no such option. Did you mean --seconds"),
    ("%start_task steps --steps many", "--steps: "),
    ("%start_task typed", "The input of typed doesn't fit: url: is missing"),
    ("%start_task steps --until 1 --wait", "The shop is closed."),
    ("%abort_task zz", "There is no task 'zz'."),
    ("%abort_task a b", "b: one id is enough"),
    ("%pause_task --all", "--all: there is no such option here"),
    ("%tasks --stats", "--stats: %tasks has no such option. Did you mean --status"),
    ("%tasks --status done", "--status: 'done' is no status."),
    ("%restart_task zz", "There is no task 'zz'."),
    ("%restart_task --frsh", "--frsh: %restart_task has no such option. Did you mean --fresh?"),
    ("%start_task steps --retries many", "--retries: must be a whole number, not many"),
    ("%start_task steps --retries 1000", "retries: a whole number from 0 to 100 is needed"),
    ("%task_output '", "the quote that begins at ' is never closed"),
])
def test_errors_are_one_sentence(kernel: Kernel, code: str, sentence: str) -> None:
    """A wrong line, or a task that fails under `--wait`, is said on stderr without a traceback; the cell fails."""
    run = kernel.run(code, fails=True)

    assert sentence in run.text("stderr")
    assert run.of("error") == [] and "Traceback" not in run.text("stderr")


def test_a_task_is_paused_resumed_and_aborted(kernel: Kernel) -> None:
    """The magics mean this notebook's last task, an id, the unique beginning of one, or a handle."""
    kernel.run("t = %start_task steps --seconds 60 --quiet\nupdates = t.updates()\n"
               "next(u for u in updates if u.progress)")
    kernel.run("%pause_task\nnext(u for u in updates if u.status == 'paused')")
    kernel.run("%resume_task $t.task_id\nnext(u for u in updates if u.status == 'running')")
    kernel.run("%pause_task {t.task_id[:20]}\nnext(u for u in updates if u.status == 'paused')")
    said = kernel.run("%abort_task t").text()

    assert re.fullmatch(r"Asked steps [0-9a-z]{26} to abort\.\n", said)
    assert kernel.run("[str(u.status) for u in updates][-1]").result == "aborted"
    assert "it is aborted already" in kernel.run("%pause_task", fails=True).text("stderr")


def test_a_task_is_restarted(kernel: Kernel) -> None:
    """`%restart_task` shows the new task's view, gives its handle, and means it from then on; a live one is refused."""
    kernel.run("t = %start_task steps --seconds 60 --quiet")
    said = kernel.run("%restart_task", fails=True).text("stderr")
    assert "has not ended yet, so it can't be restarted. Wait for its end, or abort it." in said
    kernel.run("%abort_task")
    kernel.run("t = start_task('goes-on')\nwhile not t.is_done: time.sleep(0.01)")

    run = kernel.run("u = %restart_task")
    assert len(run.of("display_data")) == 1
    assert kernel.run("u.wait(), u.task_id == get_task().task_id").result == ({"begun_at": 2, "attempt": 1}, True)
    run = kernel.run("u = %restart_task {t.task_id[:25]} --fresh\nu")
    assert len(run.of("display_data")) == 1 and run.of("execute_result") == []
    assert kernel.run("while not u.is_done: time.sleep(0.01)\nlen(u.items())").result == 2


def test_an_id_that_several_tasks_could_have_is_refused(kernel: Kernel) -> None:
    """A beginning that isn't unique says so."""
    kernel.run("for _ in range(2):\n    start_task('steps').wait()")

    assert "ids begin with 1" in kernel.run("%abort_task 1", fails=True).text("stderr")


def test_output_is_printed(kernel: Kernel) -> None:
    """`%task_output` prints what the task has printed."""
    kernel.run("%start_task steps --say line --wait --quiet")

    assert kernel.run("%task_output").text() == "line 1\nline 2\nline 3\n"


def test_only_the_end_of_a_long_output_is_printed(kernel: Kernel) -> None:
    """A notebook isn't flooded: the rest is named."""
    kernel.run(f"%start_task steps --say {'x' * 1000} --steps 200 --wait --quiet")

    text = kernel.run("%task_output").text()
    assert text.startswith("… ") and "t.output() has them" in text
    assert text.endswith("x 200\n") and len(text) < 101_000


def test_the_table_moves_until_its_tasks_have_ended(kernel: Kernel) -> None:
    """`%tasks` is redrawn by itself, also while a cell keeps the kernel busy."""
    kernel.run("t = %start_task steps --seconds 60 --name '<b>mine</b>' --quiet")
    table = kernel.run("%tasks --status running --status aborted --status idle")
    shown = table.of("display_data")[0]
    assert "&lt;b&gt;mine&lt;/b&gt; (steps)" in shown["data"]["text/html"]
    assert "RUNNING" in shown["data"]["text/plain"].upper() or "WAITING" in shown["data"]["text/plain"].upper()

    task_id = kernel.run("t.task_id").result
    busy = kernel.begin("t.abort()\ntime.sleep(300)")

    def rows() -> list[str]:
        return [line for content in busy.of("update_display_data")
                if content["transient"]["display_id"] == shown["transient"]["display_id"]
                for line in content["data"]["text/plain"].splitlines() if task_id in line]

    kernel.until(lambda: "Aborted" in "".join(rows()[-1:]), "the end in the table")
    assert not busy.is_idle
    kernel.manager.interrupt_kernel()
    kernel.finish(busy, fails=True)


def test_the_table_says_when_there_is_nothing(kernel: Kernel) -> None:
    """No task, no table."""
    kernel.run("t = %start_task steps --wait --quiet")

    data = kernel.run("%tasks --status=paused").of("display_data")[0]["data"]
    assert data["text/plain"] == "There are no such tasks."


@pytest.mark.parametrize("jedi", [True, False])
@pytest.mark.parametrize(("code", "completion", "replaced"), [
    ("%start_task ste", "steps", "ste"),
    ("x = 1\nt = %start_task ty", "typed", "ty"),
    ("%start_task typed --ma", "--max-pages", "--ma"),
    ("%start_task typed --no-h", "--no-headless", "--no-h"),
    ("%start_task typed --color bl", "blue", "bl"),
    ("%start_task typed --color=bl", "--color=blue", "--color=bl"),
    ("%start_task steps --wa", "--wait", "--wa"),
    ("%start_task steps --ret", "--retries", "--ret"),
    ("%restart_task --f", "--fresh", "--f"),
    ("%tasks --status pau", "paused", "pau"),
])
def test_tab_completes(kernel: Kernel, jedi: bool, code: str, completion: str, replaced: str) -> None:
    """Types, options and values of options, through the kernel's own completion, and nothing else among them."""
    kernel.run(f"%config IPCompleter.use_jedi = {jedi}\nstepson = typedef = 1")

    assert kernel.complete(code) == ([completion], replaced)


def test_tab_completes_ids(kernel: Kernel) -> None:
    """The magics of one task complete the ids there are."""
    task_id = kernel.run("%start_task steps --wait --quiet\nget_task().task_id").result

    matches, replaced = kernel.complete(f"%abort_task {task_id[:8]}")
    assert task_id in matches and replaced == task_id[:8]


def test_other_lines_complete_as_ever(kernel: Kernel) -> None:
    """Python is left alone, a modulo included."""
    kernel.run("kettles = 3")

    assert "kettles" in kernel.complete("5 %kett")[0] + kernel.complete("ket")[0]


def test_a_task_says_where_it_comes_from(kernel: Kernel) -> None:
    """Name, tags and the notebook go with it."""
    info = "get_task().info"
    kernel.run("%start_task steps --name mine --tag a --tag b --wait --quiet")

    assert kernel.run(f"{info}.name, {info}.tags, {info}.origin").result == ("mine", ["a", "b"], {"notebook": NOTEBOOK})


def test_inline_runs_in_the_kernel(kernel: Kernel) -> None:
    """`--inline` calls the worker here, with its prints; its error comes with a traceback, for the debugger."""
    run = kernel.run("%start_task steps --steps 1 --inline")
    assert (run.text(), run.result) == ("step 1\n", 1)

    run = kernel.run("%start_task steps --until 1 --inline", fails=True)
    assert run.of("error")[0]["ename"] == "TaskError"


def test_the_extension_can_be_loaded_again(kernel: Kernel) -> None:
    """`%reload_ext` and `%unload_ext` leave one completion, or none."""
    kernel.run("%reload_ext sse_tasks\n%reload_ext sse_tasks")
    assert kernel.complete("%start_task ste") == (["steps"], "ste")

    kernel.run("%unload_ext sse_tasks")
    assert "steps" not in kernel.complete("%start_task ste")[0]
    kernel.run("%load_ext sse_tasks")


def test_a_plain_terminal_gets_text(notebook_folder: Path) -> None:
    """IPython without a kernel: options, tables and results work, the view is a line of text."""
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "--simple-prompt", "-c",
         "%load_ext sse_tasks\n%start_task steps --wait\n%tasks\n%start_task nothing"],
        cwd=notebook_folder, capture_output=True, text=True, timeout=60)

    assert re.search(r"steps [0-9a-z]{26}: (waiting|running)", done.stdout), done
    assert re.search(r"^[0-9a-z]{26} +steps +Completed", done.stdout, re.MULTILINE)
    assert "There is no task type 'nothing'" in done.stdout + done.stderr
