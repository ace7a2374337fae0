"""What the streaming tutorial shows, box by box; those about its page are the page's."""

REQUIREMENTS = {
    "tutorial_tokens": "An answer comes token by token, and can be interrupted.",
    "tutorial_generator": "From Python, an agent is made by its name, and its answer is iterated token by token.",
    "tutorial_status": "GET / tells the status.",
    "tutorial_stream": "POST /stream takes a message and answers with content, then done.",
    "tutorial_failure": "A failure is the stream's last frame.",
    "tutorial_framing": "A frame is framed once, whatever its text holds.",
    "tutorial_stop": "Who leaves stops the generation.",
    "tutorial_tools": "Tool calls are told when they start, and their results when they are there.",
    "tutorial_progress": "The status goes from thinking, with a count of tokens on the way, to complete, with their number.",
    "tutorial_several": "Several agents answer at once on one stream; each frame names its agent.",
    "tutorial_socket": "A WebSocket takes many turns, both ways.",
    "tutorial_chat": "Bare text over a WebSocket is answered by an agent that is made on first use.",
    "tutorial_rate": "A stream's tokens a second can be limited.",
    "tutorial_chunks": "Tokens can come in larger chunks, and what is left at the end is not lost.",
    "tutorial_compression": "A stream can be compressed without being held back.",
    "tutorial_testable": "The chunks of a stream join to the full answer.",
    "tutorial_interruption": "A connection that breaks is tried again, ever less often, and given up: nothing is said twice.",
    "tutorial_backpressure": "A client that does not read is not overwhelmed, and holds nobody else up.",
    "tutorial_metrics": "A stream ends with its time to first token, total time, tokens and tokens a second.",
}
