"""A process that prunes: ``pruning DATA_DIR RUNTIME_DIR KEEP_DAYS`` says for each line that it reads how many ended
tasks it forgot, and how many are left."""

from __future__ import annotations

import sys

from sse_tasks.task_manager import TaskManager


def main() -> None:
    manager = TaskManager(data_dir=sys.argv[1], runtime_dir=sys.argv[2], keep_days=float(sys.argv[3]),
                          keep_bytes=None, keep_count=None)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(manager.prune(), len(manager.ids()), flush=True)
    manager.close()


if __name__ == "__main__":
    main()
