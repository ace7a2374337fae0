"""What programs that speak OpenAI's chat completions can rely on."""

REQUIREMENTS = {
    "openai_stream": "Chunks come in order under one id, the first with the role; `[DONE]` is last.",
    "openai_words": "Texts of several messages are paragraphs of one answer.",
    "openai_shape": "An answer that is to have a shape is JSON, whatever the model said before it.",
    "openai_usage": "Usage comes when it is asked for, behind the chunks and before `[DONE]`.",
    "openai_checks": "What is wrong with a request is told in OpenAI's form, field by field.",
    "openai_errors": "What goes wrong on the way is OpenAI's error object in place of the rest; `[DONE]` is last still.",
    "openai_failures": "A run that failed is not repeated by an SDK on its own.",
    "openai_tools": "A client's tools are offered to the agent; it runs them, and its answers go on.",
    "openai_tool_choice": "What `tool_choice` names is called first; a client that had its own tool called need not answer.",
    "openai_finish": "The reason of the end has OpenAI's name, with and without streaming.",
    "openai_models": "Agents are models.",
    "openai_sdk_python": "The official SDK for Python works.",
    "openai_sdk_node": "The official SDK for Node works.",
    "openai_keys": "The SDK's key is the server's.",
    "openai_webui": "Open WebUI's calls are answered.",
    "openai_stop": "Who leaves cancels the run.",
    "openai_repeats": "What an SDK repeats by itself goes on with its last try's run; what a user asks twice is two runs.",
}
