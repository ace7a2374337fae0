"""What the product is about, as values: no I/O, no framework, the standard library alone."""
