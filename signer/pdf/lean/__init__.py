"""The lean writer: the incremental update for documents that it understands to the last byte, in tens of microseconds.

``prepare`` → ``file`` (objects, by the cross-references in ``sections``) → ``tree`` (pages), ``form`` (fields, locks), ``content`` (what can change its look)
→ ``update`` (the bytes). No PDF library; pure and bounded, since it runs in the signer itself on what strangers wrote. Whatever is
odd is left to the writer in the sandbox: doubt costs milliseconds, never a seal on the wrong thing.
"""
