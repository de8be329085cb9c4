"""Signed acts, from which the register follows: judged, carried out, and recorded with the evidence that allowed them."""
