"""Every endpoint that speaks OpenAI's chat completions: OpenAI, Anthropic, Gemini, OpenRouter, vLLM, llama.cpp, Ollama.

endpoint.py    where it is and how long to wait for it
request.py     ModelRequest → the body
dialect.py     how a model wants to be asked, and what a refusal tells of it
call_ids.py    by which id the provider knows a call
pictures.py    content with pictures
response_format.py    the shape that an answer shall have
sse.py         bytes → frames            ┐
deltas.py      deltas → merged chunks    │ no I/O: bytes in, chunks out
tool_calls.py  whose piece is this?      │
reasoning.py   reasoning with its proof  │
call_proofs.py what proves a call        │
usage.py       token counts              │
likeness.py    chunks like the last one │
stream.py      the decoder over them     ┘
no_answer.py   a complaint in the place of an answer
complaints.py  a vendor's error text → what it means
failures.py    status, error or exception → ModelFailure
retries.py     when to ask again
address.py     a base URL, and the proxy before it
head.py        the head of an HTTP request
dial.py        names, sockets, TLS   ┐
tunnel.py      through a proxy       │
http1.py       one connection        │ HTTP, below the chat
response.py    one response          │
pool.py        kept connections      ┘
faults.py      what can go wrong there
session.py     all of that for one provider
model.py       the call
listing.py     which models there are
embeddings.py  texts → vectors
provider.py    all of it under a name
"""

from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.adapters.openai.model import OpenAIModel
from letta_grpc.adapters.openai.provider import OpenAIProvider

__all__ = ["OpenAIEndpoint", "OpenAIModel", "OpenAIProvider"]
