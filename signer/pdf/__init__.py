"""PAdES signatures: an incremental update with a hole is prepared, accounted for, signed, filled and read back.

plan       what shapes the update, and what comes of preparing it: data that all below share
lean       the writer in the signer itself (crates/lean), for documents that it understands to the last byte
full       the writer in the sandbox, for all others (pyHanko); ``prepare`` is that writer under the eyes of independent readers
readback   holds what either writer made to the plan before it is signed, and the sealed document to that before it is released
cms, fill  make the CMS of a signature, and put it into the hole
"""
