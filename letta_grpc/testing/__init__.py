"""What others need to test adapters of their own: a contract suite for each port, and a clock that a test moves. Extra `[testing]`."""
