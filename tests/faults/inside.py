"""A task manager for the first process of a PID namespace, as in a container that shares the data folder: each line on
stdin is a call as JSON, ``["start", "steady", {…}]``, each on stdout its answer."""

from __future__ import annotations

import json
import sys

from sse_tasks.task_manager import TaskManager

manager = TaskManager(data_dir=sys.argv[1], worker_folders=[sys.argv[2]], max_running=int(sys.argv[3]))
print("null", flush=True)
for line in sys.stdin:
    verb, *arguments = json.loads(line)
    answer = getattr(manager, verb)(*arguments)
    said = {"id": answer.task_id, "status": answer.status, "code": answer.code} if answer is not None else None
    print(json.dumps(said), flush=True)
