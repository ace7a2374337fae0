"""The conformance program of the Python client: `conformance.py TARGET`, tasks on stdin, one JSON line for each on stdout."""

import asyncio
import json
import sys
from typing import Any

from letta_grpc.client import Answer, AsyncClient, AsyncRunStream, LettaError, RetryPolicy, Run, approve, deny, tool_return
from letta_grpc.v1 import run_service_pb2, runs_pb2

KEY = "conformance-key"
# As patient as by default, and quicker.
QUICK = RetryPolicy(initial_seconds=0.01, maximum_seconds=0.05)
PATIENT = RetryPolicy(initial_seconds=0.05, maximum_seconds=0.5, stream_attempts=1000, call_attempts=1000)
DEADLINE_SECONDS = 1.0


async def perform(client: AsyncClient, task: dict[str, Any]) -> dict[str, Any]:
    """Do what the task says; return what was seen."""
    options = run_service_pb2.StreamOptions(omit_deltas=task.get("omit_deltas", False))
    options.heartbeat_interval.FromMilliseconds(int(task["heartbeat_seconds"] * 1000))
    if task["do"] == "attach":
        stream = client.attach(task["run_id"], after=task["after"], options=options)
    else:
        stream = client.stream(task["case"], task.get("text", "hello"), options=options)
    printed = await follow(stream, task["do"])
    answers: dict[str, Answer] = {
        "approve": approve(),
        "edit": approve('{"to": "Bob"}'),
        "deny": deny("not today"),
        "return": tool_return("sunny"),
    }
    if task["do"] in answers:
        run = await stream.final()
        answering = client.answer(run, dict.fromkeys(printed["pending"], answers[task["do"]]), options=options)
        printed = await follow(answering, "stream") | {"pending": printed["pending"]}
    return {"case": task["case"], **printed}


async def follow(stream: AsyncRunStream, action: str) -> dict[str, Any]:
    """Read a stream as far as the action goes."""
    events: list[int] = []
    error: dict[str, Any] | None = None
    run: Run | None = None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS if action == "deadline" else None), stream:
            async for event in stream:
                events.append(event.sequence_number)
                if event.HasField("text_delta") and action == "cancel":
                    await stream.cancel()
                elif event.HasField("text_delta") and action == "close":
                    await stream.disconnect()
            if action != "close":
                run = await stream.final()
    except LettaError as failure:
        code = failure.code.name if failure.code else ""
        error = {"code": code, "reason": failure.reason, "metadata": {**failure.metadata}, "fields": {**failure.fields}}
    except TimeoutError:
        error = {"code": "DEADLINE_EXCEEDED", "reason": "", "metadata": {}, "fields": {}}
    if run is not None and run.HasField("error"):
        error = {"code": "", "reason": run.error.reason, "metadata": {**run.error.metadata}, "fields": {}}
    return {
        "events": events,
        "text": stream.so_far.text,
        "state": runs_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_") if run else None,
        "error": error,
        "pending": [action.tool_call_id for action in stream.pending_actions],
    }


async def main(target: str) -> None:
    """Take tasks until there are no more."""
    quick, patient = (AsyncClient(target, api_key=KEY, retry=retry) for retry in (QUICK, PATIENT))
    async with quick, patient:
        while line := await asyncio.to_thread(sys.stdin.readline):
            task = json.loads(line)
            print(json.dumps(await perform(patient if task.get("patient") else quick, task)), flush=True)


asyncio.run(main(sys.argv[1]))
