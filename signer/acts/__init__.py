"""Signed acts, which the register is the sum of: judged, carried out, recorded with the evidence that allowed them."""
