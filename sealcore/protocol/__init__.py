"""What people approve and how it is carried: leaf, manifest, decision, approval token, stop. Pure; PROTOCOL.md field by field."""
