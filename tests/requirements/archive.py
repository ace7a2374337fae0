"""What holds for archives and for searches."""

REQUIREMENTS = {
    "archive_kept": "A note is read, listed and found as it stands now, and gone once it is removed.",
    "archive_of_agent": "An agent's tools and the API share the agent's archive; nobody else's notes are seen.",
    "archive_limits": "A note, a tag and a query beyond their limits are refused with the field that is wrong.",
    "archive_meaning": "An embedding model lets notes be found by what they mean; while it fails, none is lost.",
    "message_search": "What was said in an agent's conversations is found by its words, in one of them or in all.",
}
