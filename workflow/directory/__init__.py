"""People, units and clients of the office, and the first of them (``seed``)."""
