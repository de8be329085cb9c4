"""How fast the office is, measured against its own yardsticks: see docs/benchmarks.md.

load            documents → prepared → sender (what a client sends), office (the real services), remote (helpers in processes)
yardsticks      signing (the HSM alone), peers/ (other programs)
measures/       one class for each figure; catalogue.py is where they are put together
out             report (the table, latest.json), charts (pictures)
"""
