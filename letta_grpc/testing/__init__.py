"""What tests of your own adapters need: contract suites of ports, and a clock that a test moves. Extra `[testing]`."""
