"""The task types that ship with sse_tasks."""
