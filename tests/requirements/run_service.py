"""What RunService promises, of every run, to everybody."""

REQUIREMENTS = {
    "ordered": "Numbers strictly rise on every stream.",
    "unique": "No number comes twice on a stream.",
    "complete": "A stream has no gap.",
    "same": "Any two readers see identical bytes for a number, before and after a crash.",
    "durable": "What a reader has seen, and what a start or a cancel has answered, is still so after the server was killed.",
    "resumable": "Attaching after N gives N+1 first, or an error that says why not.",
    "progress": "A heartbeat's N says that all up to N was delivered on that stream; it comes alone or last.",
    "ends": "Every run has exactly one run_finished, its last event, also after a crash; OK ends no stream before it.",
    "idempotent_start": "The same request id with the same payload is the same run, however often, also after a crash.",
    "conflict_reject": "While a conversation has an active run, a REJECT start is refused, with its id, and claims nothing.",
    "conflict_enqueue": "ENQUEUE starts run in the order of their acceptance, one at a time.",
    "conflict_interrupt": "An INTERRUPT start ends the active run CANCELLED, then runs before what waits.",
    "durable_cancel": "A run whose CancelRun was answered while it was open ends, also after a crash, and starts no tool.",
    "takeover": "A takeover voids the unfinished messages of the step it cuts, and nothing that was complete.",
    "one_return": "Every tool call in history has exactly one return.",
    "one_effect": "A memory tool's effect is there once if its return says success, else not at all, also after a crash.",
    "one_at_a_time": "The runs of a conversation do not overlap: the messages of each stand together.",
    "same_ids": "Ids are the same in deltas, completed messages and history.",
    "slow_reader": "A reader that does not read slows neither the run nor another reader, nor costs the server memory.",
}
