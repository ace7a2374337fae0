"""What is promised of tool calls that wait for an answer."""

REQUIREMENTS = {
    "words_behind_answers": "Words may come with the last answers: they follow the returns, whatever becomes of the run.",
    "approval_interrupts": "A call that needs an answer ends its run INTERRUPTED, with every waiting call listed, durably.",
    "approval_partial": "Answers may come one by one and in any order; nothing runs before the last is there.",
    "approval_edit": "A decision approves, approves edited arguments, or denies with a reason that the model is told.",
    "approval_replay": "The same answer again is the run it made; another one is refused; nothing runs twice.",
    "approval_unknown": "An answer to a call that does not wait names it, and those that do.",
    "approval_blocks": "While calls wait another start is refused by a reason of its own, waits, or denies them.",
    "approval_expires": "Nobody has to answer: at the end of their time, or when their run is cancelled, calls are denied.",
    "approval_listed": "The runs that wait can be listed.",
    "approval_durable": "What waits, and what was answered, is still so after the server was killed.",
    "client_tools": "A client's tool waits for the client's return, and shadows a server tool of its name for that run.",
}
