"""What people approve and how it is carried: leaf, manifest, decision, approval token, stop. Pure; docs/protocol.md says it field by field."""
