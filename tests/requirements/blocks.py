"""What holds for memory blocks."""

REQUIREMENTS = {
    "block_shared": "A change of a block is seen by every agent that has it, from its next step on.",
    "block_limit": "No value is longer than its block's limit, whoever writes it; what is refused changes nothing.",
    "block_concurrent": "Of edits that several runs and callers make of one block at the same time none is lost.",
    "block_version": "A change that names a version is refused once the block has another one.",
    "block_read_only": "No tool of an agent edits a read-only block, and is told so; the API does.",
    "block_of_model": "What the model writes into its memory stands in the block, and in what it is shown next.",
}
