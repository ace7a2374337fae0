"""An OpenAI-compatible server that misbehaves on demand, in a process of its own.

    async with upstream() as up:
        up.base_url                     http://127.0.0.1:PORT/v1: give it to a provider, with any key
        await up.release(3)             open the gate three times for the models that wait at it
        state = await up.state()        what it has seen, see State
        await up.until(active=0)        return once so many answers are under way (a client that left ends its answer)
        await up.reset()                forget requests, the counts of flaky models, and open gates

or `with running_upstream() as up:` where there is no event loop. The model's name says how it answers:

    echo                        the user's words, one frame each
    words-N  burst-N            "w0 w1 …": a write for each word; all in one write
    slow-N-MS  endless          a pause after each word; words for ever (5 ms apart)
    gated-N                     the first word at once, each further one and the end wait for a release
    hang  hang-body             nothing, or only the headers, until a release; then three words
    hang-after-word  -finish    one word, then nothing until a release; the same with a finish reason behind the word
    ping-after-finish           one word, its finish reason, then comments for ever
    late-usage                  one word and its finish reason; after a release the usage and the end
    late-end                    one word and [DONE]; the end of the HTTP body waits for a release
    status-CODE                 refuses always; status-CODE-after-S says `retry-after: S`
    flaky-CODE-N  flaky-cut-N   the first N requests are refused (retry-after-ms: 20) or cut, then three words
    quota  context-length  bad-key  no-stream-options  redirect
                                refusals as vendors word them; any unknown model is a 404
    repeats-request  repeats-two-requests
                                refuses with the whole request in the refusal's words: always; the first two
    wants-reasoning             three words, or a refusal unless the messages with calls have `reasoning_content`
    nine-character-ids          three words, or a refusal of other ids of calls
    takes-FIELD  too-large      three words, or a refusal of the other field that limits tokens; a refusal of any limit
    window-N                    three words, or the refusal of context-length if the messages have more than N words
    garbage  garbage-chunk  no-http  empty  nothing
                                HTML; a word, then a frame that is no JSON; no HTTP; no body; a stream without a token
    cut-first  cut-token  cut-clean  cut-tool-call
                                no answer; two words and half a frame; two words and a clean end without finish; half a call
    gated-cut                   one word at once; after a release another one and no end
    error-first  error-in-stream    an error object as the first frame; behind a word in the same write
    reasoning-deepseek  -vllm  -openrouter  -details      "Let me think." in each spelling, then "Done."
    tool-NAME                   calls the tool, arguments are the user's text if that begins with {; after its return "Done."
    parallel-NAME-N  same-ids-NAME  bad-arguments-NAME
                                N calls at once; two calls with the same id; arguments that are no JSON
    huge  huge-N  bytewise      one frame of 300 000 characters; of N; "Grüße 👋" byte by byte
    finish-REASON  no-finish    two words and this finish reason, or none
    json-body                   a whole answer instead of a stream

`POST /v1/embeddings` gives vectors by subject, see `upstream_embeddings.py`.
`GET /v1/models` lists a few, with `context_length`. Usage counts words and is sent when it was asked for.
"""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_LONGEST_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the server has seen. Each request has `path`, `headers` (names in lower case) and `body`."""

    requests: list[dict[str, Any]]
    active: int  # answers under way
    aborted: int  # answers that a client left before their end
    connections: int  # that have asked a model and are open
    accepted: int  # that have asked a model since the start


@dataclass(frozen=True, slots=True)
class Upstream:
    """A running server."""

    base_url: str

    async def state(self) -> State:
        return await asyncio.to_thread(self._ask, "state")

    async def until(self, *, active: int) -> State:
        """Return once so many answers are under way; fail after ten seconds."""
        state = await asyncio.to_thread(self._ask, f"state?active={active}")
        assert state.active == active, f"{state.active} answers are under way, not {active}"
        return state

    async def release(self, times: int = 1) -> None:
        await asyncio.to_thread(self._ask, f"release?times={times}", "POST")

    async def reset(self) -> None:
        await asyncio.to_thread(self._ask, "reset", "POST")

    def _ask(self, path: str, method: str = "GET") -> State:
        request = urllib.request.Request(f"{self.base_url.removesuffix('v1')}{path}", method=method)  # noqa: S310 - ours
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_LONGEST_WAIT_SECONDS + 5) as answer:
            return State(**json.load(answer))


@contextmanager
def running_upstream() -> Iterator[Upstream]:
    """Run the server; it also ends when this process does."""
    command = [sys.executable, "-m", "tests.support.upstream_server"]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdout is not None
        try:
            yield Upstream(process.stdout.readline().strip())
        finally:
            process.terminate()


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Run the server without blocking the loop."""
    manager = running_upstream()
    server = await asyncio.to_thread(manager.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)
