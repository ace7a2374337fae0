"""What holds for memory blocks."""

REQUIREMENTS = {
    "block_shared": "A change of a block is seen by every agent that has it, from its next step on.",
    "block_limit": "No value is longer than its block's limit, whoever writes it; what is refused changes nothing.",
    "block_of_model": "What the model writes into its memory stands in the block, and in what it is shown next.",
}
