"""One module, one class, one ``measure`` for each figure of the table; ``benchmarks/catalogue.py`` puts them together."""
