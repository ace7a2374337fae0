"""What holds for tools."""

REQUIREMENTS = {
    "tool_source": "A tool is made of source code alone: its name, description and schema are what its function says.",
    "tool_schema": "A name chooses among the functions of a source, and a schema that is given stands for its hints.",
    "tool_names": "No two tools have one name, and none has a built-in tool's; an upsert keeps the id.",
    "tool_update": "An update changes what its mask names; new code is described again and keeps the name.",
    "tool_builtin": "Built-in tools are listed first, have ids like all others, and cannot be changed.",
    "tool_of_agents": "An agent has the tools that it is given, and loses them with the tool itself.",
    "tool_output": "What a tool writes is streamed while it runs, between its start and its return, which has it by lines.",
    "tool_secrets": "A tool gets those of the agent's secrets that it declares, and no others.",
    "tool_return_limit": "A return is cut at its tool's limit, and says so.",
    "tool_serial": "Tools that may not run beside others run one after the other.",
    "tool_trial": "RunTool runs a stored tool or a source once and keeps nothing.",
    "tool_network": "A tool that asks for network gets it only where the settings allow it; elsewhere a failure says so.",
    "tool_refused": "A server that may not run Python refuses it with a reason of its own.",
    "tool_cancel": "A cancel ends a tool within a second, none begins afterwards, and what was said stays.",
    "tool_killed": "After the death of the server a tool that is not idempotent is not run again, one that is, is.",
    "tool_quick": "A trivial tool costs milliseconds.",
}
