"""What holds for MCP servers."""

REQUIREMENTS = {
    "mcp_kept": "A registered MCP server is there until it is deleted, and its secrets are shown to nobody.",
    "mcp_tools": "The tools of an MCP server are listed as it has them now, and added under the name that was asked for.",
    "mcp_called": "An agent calls a tool of an MCP server like any other; a cancelled run cancels the call there.",
    "mcp_added_again": "Adding a tool again takes in its new signature and keeps what was set of it.",
    "mcp_deleted": "A deleted MCP server is gone with its tools and with the process that was started for it.",
    "mcp_allowed": "Commands and private addresses are refused, by the name of the setting, while other machines can connect; "
    "commands also while calls need no key.",
    "mcp_failing": "An MCP server that does not answer as it should is named, and nothing else fails by it.",
}
