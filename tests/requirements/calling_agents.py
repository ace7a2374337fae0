"""What agents that call agents promise."""

REQUIREMENTS = {
    "child_answers": "A tool has other agents run, waits for their last words or not, and the run's stream names the runs.",
    "child_failure": "An agent that is called and fails, is stopped or waits for a person is an error return that says so.",
    "child_no_circle": "Nobody waits for himself: not by calling himself, nor a caller of his, nor by two ways that cross.",
    "child_cancel": "The end of a run reaches, within a second, every run that it waits for, and those that these wait for.",
    "child_once": "A call that the server's death cut starts no second run: the next server waits for the first one.",
}
