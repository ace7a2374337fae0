"""What tests of your own adapters need: a contract suite for each port, and a clock that a test moves. Extra `[testing]`."""
